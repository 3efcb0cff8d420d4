"""A file is as large as the formula says: codes by their bits, scales, floats, and the graph itself."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from nas.export.onnx import export_onnx
from nas.nn.subnet import build_operator, build_subnet, fold_norms, initialised
from nas.space.bits import uniform
from nas.space.cost import architecture_cost, graph_bytes, operator_cost
from nas.space.kinds import KINDS
from nas.space.operator import Operator
from nas.space.search_space import SearchSpace, with_uniform_presets

ENDS = ("stem", "double-stem", "patch-stem", "downsample", "widen", "head")
TINY = with_uniform_presets(SearchSpace.load("scan-mix-tiny-int8"))
SMALL = SearchSpace.load("scan-mix-small")
PRESETS = [(TINY, name) for name in TINY.presets] + [(SMALL, name) for name in ("vim", "groupmamba", "msvmamba")]


def distinct(module):
    """Make all floats different: equal tensors, such as biases of zero, are stored once."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
    return module


def exported(module, shape):
    with torch.no_grad(), initialised(module):
        module(torch.randn(shape))
    return export_onnx(distinct(module), shape)


@pytest.mark.parametrize("bits", ["fp", 8, 4])
@pytest.mark.parametrize("kind", [*ENDS, *KINDS])
def test_the_file_of_every_kind_takes_what_the_formula_says(kind, bits, quantized_operator):
    op = quantized_operator(kind, bits)
    torch.manual_seed(0)
    parts = [op] if bits == "fp" else [Operator("quantize", op.in_channels, op.in_channels, op.grid, (), bits), op]
    module = fold_norms(torch.nn.Sequential(*map(build_operator, parts)))
    size = len(exported(module, (1, op.in_channels, op.grid, op.grid)))
    once = 250  # what a file has once: its frame, a zero point for each number of channels
    assert size == pytest.approx(sum(operator_cost(each).size_bytes for each in parts), rel=0.05, abs=once)


@pytest.mark.parametrize(("space", "name"), PRESETS, ids=lambda each: getattr(each, "name", each))
def test_the_file_of_every_preset_is_within_5_percent_of_its_size(space, name):
    architecture = space.presets[name].architecture
    torch.manual_seed(0)
    side = architecture.resolution
    size = len(exported(fold_norms(build_subnet(architecture, space.num_classes)), (1, 3, side, side)))
    assert size == pytest.approx(architecture_cost(architecture, space.num_classes).size_bytes, rel=0.05)


@pytest.mark.parametrize("name", TINY.presets)
def test_a_file_is_mostly_its_codes_scales_and_floats(name):
    """The rest, counted by formula, is less than a quarter even of the smallest: 4 bits and four scans a block."""
    architecture = TINY.presets[name].architecture
    cost = architecture_cost(architecture, TINY.num_classes)
    floats = architecture_cost(uniform(TINY, architecture, "fp"), TINY.num_classes)
    rest = floats.size_bytes - 4 * floats.num_params
    assert 0 < rest < 0.04 * floats.size_bytes
    assert cost.size_bytes <= floats.size_bytes


def test_a_token_more_costs_an_index_in_every_direction(operator_of):
    sizes = [graph_bytes(operator_of("ssd", 32, grid, directions=("h", "v"))) for grid in (4, 8)]
    assert sizes[1] - sizes[0] == 4 * 2 * (64 - 16)


@pytest.mark.parametrize("scan", ["h", "v_flip", "atrous2"])
def test_no_table_of_pairs_of_tokens_is_stored(scan, operator_of):
    module = fold_norms(build_operator(operator_of("ssd", 32, 8, directions=(scan,))))
    graph = onnx.load_from_string(export_onnx(module, (1, 32, 8, 8))).graph
    assert not any(np.isneginf(numpy_helper.to_array(each)).sum() > 1 for each in graph.initializer)
    assert "Shape" not in {node.op_type for node in graph.node}
