from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.hardware.prediction.operations import Setting, build_without_memory, operations_of
from nas.hardware.prediction.roofline import Operation
from nas.nn.subnet import build_operator, build_subnet, fold_norms
from nas.space.cost import architecture_cost, macs
from nas.space.search_space import SearchSpace

HALF, AMP, FULL = Setting("bf16", False), Setting("fp16", True), Setting("fp32", False)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def found(module: nn.Module | Callable, shape: tuple[int, ...], setting: Setting = FULL) -> tuple[Operation, ...]:
    return operations_of(module if isinstance(module, nn.Module) else Apply(module), shape, setting)


def test_a_linear_layer_is_one_product_of_known_work() -> None:
    (one,) = found(nn.Linear(64, 128), (32, 64))
    assert (one.kind, one.dtype, one.flops, one.tiles) == ("matmul", "fp32", 2 * 32 * 64 * 128, 2)
    assert one.bytes_moved == 4 * (32 * 64 + 64 * 128 + 128 + 32 * 128)


@pytest.mark.parametrize(("groups", "kind"), [(1, "conv"), (4, "grouped"), (16, "depthwise")])
def test_a_convolution_is_counted_by_its_groups(groups: int, kind: str) -> None:
    (one,) = found(nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=groups, bias=False), (2, 16, 8, 8))
    assert (one.kind, one.flops) == (kind, 2 * (2 * 32 * 4 * 4) * (16 // groups) * 9)
    assert one.bytes_moved == 4 * (2 * 16 * 64 + 32 * (16 // groups) * 9 + 2 * 32 * 16)


def test_the_bias_of_a_convolution_is_a_kernel_of_its_own() -> None:
    with_bias, without = (found(nn.Conv2d(8, 8, 1, bias=bias), (1, 8, 4, 4)) for bias in (True, False))
    assert len(with_bias) == len(without) + 1
    assert with_bias[1] == Operation("memory", "fp32", 0, 2 * 4 * 8 * 16, 0)


def test_views_are_free_and_copies_are_not() -> None:
    assert found(lambda x: x.transpose(1, 2).unflatten(1, (2, -1)).expand(3, -1, -1, -1)[:, 1:], (1, 8, 6)) == ()
    (copy,) = found(lambda x: x.transpose(1, 2).contiguous(), (1, 8, 6))
    assert copy == Operation("memory", "fp32", 0, 2 * 4 * 48, 0)


def test_a_broadcast_tensor_is_read_once() -> None:
    (one,) = found(lambda x: x + x[:1, :1].expand(4, 8), (4, 8))
    assert one.bytes_moved == 4 * (32 + 1 + 32)


def test_fused_attention_is_one_kernel() -> None:
    def attend(x: Tensor) -> Tensor:
        q = x.unflatten(2, (4, 16)).transpose(1, 2)  # [b, H, L, E]
        return F.scaled_dot_product_attention(q, q, q).transpose(1, 2).flatten(2)

    (one,) = found(attend, (2, 50, 64), HALF)
    assert (one.kind, one.flops, one.bytes_moved) == ("attention", 4 * 2 * 4 * 50 * 50 * 16, 4 * 2 * 2 * 50 * 64)


def test_half_precision_moves_half_the_bytes_of_the_same_kernels() -> None:
    network = build_subnet(SearchSpace.load("mobile-conv").largest(), 10)
    full = operations_of(fold_norms(network), (1, 3, 64, 64), FULL)
    half = operations_of(fold_norms(build_subnet(SearchSpace.load("mobile-conv").largest(), 10)), (1, 3, 64, 64), HALF)
    assert [each.kind for each in full] == [each.kind for each in half]
    assert [each.bytes_moved for each in full] == [2 * each.bytes_moved for each in half]


def test_autocast_multiplies_in_half_and_normalises_in_full_precision() -> None:
    network = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 64))
    listed = found(network, (8, 64), AMP)
    products = [each for each in listed if each.kind == "matmul"]
    assert [each.dtype for each in products] == ["fp16", "fp16"]
    norm = max((each for each in listed if each.kind == "memory" and each.dtype == "fp32"), key=lambda o: o.bytes_moved)
    assert norm.bytes_moved >= 2 * 4 * 8 * 64
    assert len(listed) > len(found(network, (8, 64), Setting("fp16", False)))  # the casts


@pytest.mark.parametrize("name", ["toy", "scan-mix-tiny", "mobile-conv", "vit-elastic"])
def test_products_add_up_to_the_macs_of_the_formula(name: str) -> None:
    space = SearchSpace.load(name)
    for architecture in (space.smallest(), space.largest()):
        network = fold_norms(build_without_memory(lambda a=architecture: build_subnet(a, space.num_classes)))
        size = architecture.resolution
        listed = operations_of(network, (2, 3, size, size), HALF)
        assert sum(each.flops for each in listed) == 2 * 2 * architecture_cost(architecture, space.num_classes).macs


def test_an_operator_is_listed_the_same_the_second_time() -> None:
    for operator in SearchSpace.load("toy").operators():
        first, second = (
            operations_of(
                fold_norms(build_operator(operator)), (1, operator.in_channels, operator.grid, operator.grid), HALF
            )
            for _ in range(2)
        )
        assert first == second
        assert sum(each.flops for each in first) == 2 * macs(operator)


def test_building_without_memory_falls_back_where_a_constructor_needs_numbers() -> None:
    class Needy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, int(torch.ones(3).sum().item()))

    module = build_without_memory(Needy)
    assert module.layer.weight.device.type == "meta" and module.layer.weight.shape == (3, 2)
