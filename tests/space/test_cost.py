import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.nn.blocks import build_operator, fold_norms
from nas.nn.subnet import build_subnet
from nas.space.bits import uniform
from nas.space.cost import architecture_cost, graph_bytes, operator_cost
from nas.space.kinds import KINDS
from nas.space.operator import Operator, operators
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces


def counted(module, shape):
    module = fold_norms(module)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(shape))
    weights = (parameter for name, parameter in module.named_parameters() if "log_step" not in name)
    return sum(map(torch.numel, weights)), counter.get_total_flops() // 2


@pytest.mark.parametrize("name", shipped_spaces())
def test_parameters_and_macs_equal_those_counted_on_the_extracted_model(name):
    space = SearchSpace.load(name)
    rng = np.random.default_rng(0)
    for architecture in [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(20))]:
        shape = (1, 3, architecture.resolution, architecture.resolution)
        cost = architecture_cost(architecture, space.num_classes)
        assert counted(build_subnet(architecture, space.num_classes), shape) == (cost.num_params, cost.macs)
        floats = architecture_cost(uniform(space, architecture, "fp"), space.num_classes)
        graph = sum(map(graph_bytes, operators(uniform(space, architecture, "fp"), space.num_classes)))
        assert floats.size_bytes == 4 * floats.num_params + graph and floats.bitops == 1024 * floats.macs
        assert cost.bitops <= floats.bitops


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("grid", [1, 7, 8, 13])
def test_every_kind_costs_what_is_counted_on_its_folded_block(kind, size, grid, operator_of):
    op = operator_of(kind, 16, grid, size)
    cost = operator_cost(op)
    assert counted(build_operator(op), (1, 16, grid, grid)) == (cost.num_params, cost.macs)


@pytest.mark.parametrize("grid", [7, 8, 9, 12, 17])
@pytest.mark.parametrize("mode", ["sum", "group"])
@pytest.mark.parametrize("directions", [("h",), ("h", "v"), ("h", "h_flip", "v", "v_flip")])
def test_the_scan_is_counted_right_in_its_quadratic_and_its_chunked_form(grid, mode, directions):
    settings = {"directions": directions, "expansion": 2, "heads": 4, "kernel": 3, "mode": mode, "state": 8}
    op = Operator("ssd", 16, 16, grid, tuple(sorted(settings.items())))
    cost = operator_cost(op)
    assert counted(build_operator(op), (1, 16, grid, grid)) == (cost.num_params, cost.macs)
