"""Biases as integer kernels hold them: whole multiples of what one product of integer values is worth.

A runtime rounds a float bias so when it loads a file (Jacob et al. 2018, arXiv 1712.05877, section 2.4), and that is
all that it computes differently. Rounded beforehand, a network is what the kernels compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.nn.layers import Conv2d, Linear
from nas.nn.quantizer import TensorQuantizer
from nas.space.operator import FINER


class Steps(TorchFunctionMode):
    """The steps of quantised activations, by where they are stored; followed while active, as tokens are gathered."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, tuple[Tensor, Tensor]] = {}  # kept alive, so that no address is used twice

    def of(self, value: Tensor) -> Tensor | None:
        """Return the step of an activation or of a view of one, None where it has none."""
        step, _ = self.known.get(address(value), (None, None))
        return step

    def remember(self, value: Tensor, step: Tensor) -> None:
        """Note the step of an activation."""
        self.known[address(value)] = step, value

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch; what it takes from an activation by indices has the same step."""
        output = func(*args, **(kwargs or {}))
        if func is Tensor.__getitem__ and (step := self.of(args[0])) is not None:
            self.remember(output, step)
        return output


def address(value: Tensor) -> int:
    """Return where a tensor is stored, which its views share."""
    return value.untyped_storage().data_ptr()


@torch.no_grad()
def round_biases(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Round every bias of a quantised layer, in place, in a network with folded norms for inputs of `shape`."""
    with rounding(module):
        module(torch.zeros(shape))


@contextmanager
def rounding(module: nn.Module) -> Iterator[None]:
    """Round the bias of each layer before it runs in this context, by the step of its input."""
    steps = Steps()

    def remember(quantizer: nn.Module, _: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(quantizer, TensorQuantizer)
        if quantizer.widths:
            steps.remember(output, quantizer.active_log_step.exp())

    def round_one(layer: nn.Module, args: tuple[Tensor]) -> None:
        assert isinstance(layer, (Conv2d, Linear))
        step = steps.of(args[0])
        if step is not None and layer.bias is not None and layer.weight_quantizer.widths:
            layer.bias.copy_(rounded_bias(layer, step))

    handles = []
    for part in module.modules():
        if isinstance(part, TensorQuantizer):
            handles.append(part.register_forward_hook(remember))
        elif isinstance(part, (Conv2d, Linear)):
            handles.append(part.register_forward_pre_hook(round_one))
    try:
        with steps:
            yield
    finally:
        for handle in handles:
            handle.remove()


def rounded_bias(layer: Conv2d | Linear, step: Tensor) -> Tensor:
    """Return the bias [out] of a layer, rounded for an input of this step."""
    assert layer.bias is not None
    quantizer = layer.weight_quantizer
    unit = (step * quantizer.active_log_step.exp()).double() / (FINER if quantizer.widths == (4,) else 1)
    return (layer.bias.double() / unit).round().mul(unit).to(layer.bias.dtype)
