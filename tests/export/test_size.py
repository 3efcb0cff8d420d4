"""What a file stores is what the formula says: codes by their bits, scales, zero points, floats."""

import onnx
import pytest
import torch
from onnx import TensorProto

from nas.hardware.onnx_runtime import export_onnx
from nas.space.bits import uniform
from nas.space.cost import architecture_cost, operator_cost
from nas.space.kinds import KINDS
from nas.space.search_space import SearchSpace
from nas.supernet.subnet import build_subnet, fold_norms, initialised

ENDS = ("stem", "double-stem", "patch-stem", "downsample", "widen", "head")
NUMBERS = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4)  # others are shapes


def distinct(module):
    """Make all floats different: the exporter stores equal tensors, such as biases of zero, once."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", [*ENDS, *KINDS])
def test_the_initialisers_of_every_kind_take_what_the_formula_says(kind, bits, quantized_operator, trained):
    op = quantized_operator(kind, bits)
    module, images = trained(op)
    graph = onnx.load_from_string(export_onnx(distinct(module), images.shape)).graph
    stored = sum(len(each.raw_data) for each in graph.initializer if each.data_type in NUMBERS)
    promised = operator_cost(op).size_bytes
    assert stored == pytest.approx(promised, rel=0.05, abs=100)  # abs: norms' epsilons and the like


@pytest.mark.parametrize("name", ["resnet-8", "mobilenet-8", "resnet-4", "mobilenet-4"])
def test_the_file_of_a_convolutional_network_is_within_5_percent_of_its_codes_scales_and_floats(name):
    space = SearchSpace.load("scan-mix-tiny-int8")
    architecture = space.presets[name].architecture
    torch.manual_seed(0)
    module = fold_norms(build_subnet(architecture, space.num_classes))
    with torch.no_grad(), initialised(module):
        module(torch.randn(2, 3, 32, 32))
    size = len(export_onnx(distinct(module), (1, 3, 32, 32)))
    promised = architecture_cost(architecture, space.num_classes).size_bytes
    assert 0 < size - promised < 12_000  # the graph itself: 50 bytes for each of up to 200 nodes
    assert size == pytest.approx(promised, rel=0.05 if promised > 200_000 else 0.08)
    floats = architecture_cost(uniform(space, architecture, "fp"), space.num_classes)
    assert size < floats.size_bytes / {"8": 3.5, "4": 6}[name[-1]]
