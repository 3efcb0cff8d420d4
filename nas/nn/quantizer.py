"""Learned-step quantisation (Esser et al. 2020, LSQ, arXiv 1902.08153): integer values, gradients, first steps.

`code = clip(round_half_even(v / step), low, high)` and `value = step * code`. Weights are symmetric and narrow with a
step per output channel, so that folding a norm's factor into weight and step changes no code. Activations have 8 bits
and one step per tensor: signed in general, unsigned behind a ReLU, because ONNX Runtime fuses a ReLU only into a grid
that begins at zero. Every bit-width has steps of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nas.space.architecture import Bits
from nas.space.operator import ACTIVATION_BITS

LEAST_STEP = 1e-12  # of a channel without weights
CANDIDATES = 48  # steps that the search tries, from a tenth of the greatest value to all of it
MOST_SAMPLED = 1 << 16  # entries of an activation that the search looks at


def code_range(bits: int, signed: bool = True, narrow: bool = True) -> tuple[int, int]:
    """Return the least and the greatest code: -127..127 for narrow 8 bits, -128..127 for wide, 0..255 for unsigned."""
    if not signed:
        return 0, 2**bits - 1
    high = 2 ** (bits - 1) - 1
    return (-high if narrow else -high - 1), high


def quantize(value: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Return the integer values of `value` as whole numbers in its own dtype; `step` broadcasts."""
    return (value / step).round_().clamp_(low, high)


class FakeQuantize(torch.autograd.Function):
    """Quantise and dequantise, with the gradients of LSQ's equations 3 and 5 for the logarithm of the step.

    The step's gradient is scaled by `1 / sqrt(n high)` with n the entries that share a step.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, log_step: Tensor, low: int, high: int) -> Tensor:
        """Return the quantised value; a `log_step` [channels] belongs to the first axis, [] to all of it."""
        step = spread(log_step.exp(), value)
        ctx.save_for_backward(value, step)
        ctx.limits, ctx.shape = (low, high), log_step.shape
        return quantize(value, step, low, high).mul_(step)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Pass gradients straight through inside the range; outside only the step learns."""
        (grad,), (value, step), (low, high) = grads, ctx.saved_tensors, ctx.limits
        ratio = value / step
        inside = ratio == ratio.clamp(low, high)
        slope = ratio.round().clamp_(low, high).sub_(ratio.mul_(inside))
        product = slope.mul_(grad)
        per_step = product.flatten(1).sum(1) if len(ctx.shape) else product.sum()
        scale = (value.numel() / max(1, per_step.numel()) * high) ** -0.5
        return grad * inside, per_step.view(ctx.shape) * step.view(ctx.shape) * scale, None, None


def spread(step: Tensor, value: Tensor) -> Tensor:
    """Shape a step per channel [channels] so that it broadcasts along the first axis of `value`."""
    return step.view(-1, *[1] * (value.dim() - 1)) if step.dim() else step


class Marker(torch.autograd.Function):
    """What an exported graph holds in place of a quantiser: `nas.export.qdq` turns it into integer values or Q/DQ."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, steps: list[float], low: int, high: int) -> Tensor:
        """Quantise, as tracing runs the network."""
        step = torch.tensor(steps, dtype=value.dtype)
        return FakeQuantize.apply(value, (step if len(steps) > 1 else step[0]).log(), low, high)

    @staticmethod
    def symbolic(graph: Any, value: Any, steps: list[float], low: int, high: int) -> Any:
        """Return the node of the custom operator."""
        return graph.op("nas::Quantize", value, steps_f=steps, low_i=low, high_i=high).setType(value.type())


class Quantizer(nn.Module):
    """Quantises its input to the one bit-width it was built for; for `fp` it has no steps and changes nothing.

    Built for several bit-widths it only holds their steps, which is what a supernet shares.
    """

    def __init__(self, bits: Bits, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = bit_widths(bits)
        self.log_step = nn.ParameterDict({str(width): nn.Parameter(torch.zeros(shape)) for width in self.widths})

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest code."""
        raise NotImplementedError

    @property
    def active_log_step(self) -> Tensor:
        """The logarithms of the steps of the only bit-width."""
        (width,) = self.widths
        return self.log_step[str(width)]

    def forward(self, value: Tensor) -> Tensor:
        """Map any shape to the same."""
        if not self.widths:
            return value
        low, high = self.limits
        if torch.onnx.is_in_onnx_export():
            return Marker.apply(value, self.active_log_step.detach().exp().reshape(-1).tolist(), low, high)
        return FakeQuantize.apply(value, self.active_log_step, low, high)


class WeightQuantizer(Quantizer):
    """Quantises a weight [out, ...] with a step per output channel."""

    def __init__(self, bits: Bits, channels: int) -> None:
        super().__init__(bits, (channels,))

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest code of a symmetric, narrow grid."""
        return code_range(self.widths[0])

    @torch.no_grad()
    def rescale(self, factor: Tensor) -> None:
        """Follow a weight that is multiplied by a factor per output channel: no code changes but in sign."""
        for log_step in self.log_step.values():
            log_step.add_(factor.abs().clamp(min=LEAST_STEP).log())


class TensorQuantizer(Quantizer):
    """Quantises an activation to 8 bits with one step, whatever the bits of the weights that made it."""

    def __init__(self, bits: Bits, signed: bool = True) -> None:
        super().__init__(bits, ())
        self.signed = signed

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest code: all 256 are used."""
        return code_range(ACTIVATION_BITS, self.signed, narrow=False)


def bit_widths(bits: Bits) -> tuple[int, ...]:
    """Return the integer bit-widths among `bits`."""
    return tuple(width for width in (bits if isinstance(bits, tuple) else (bits,)) if isinstance(width, int))


def best_steps(value: Tensor, low: int, high: int) -> Tensor:
    """Return for each row of `value` [rows, n] the step [rows] of least squared error, a multiple of its maximum."""
    greatest = value.abs().amax(1).clamp(min=LEAST_STEP * high)
    best = torch.full_like(greatest, torch.inf)
    steps = greatest / high
    for share in torch.linspace(1.0, 0.1, CANDIDATES).tolist():
        step = share * greatest / high
        error = (quantize(value, step[:, None], low, high) * step[:, None] - value).square().sum(1)
        steps, best = torch.where(error < best, step, steps), torch.minimum(error, best)
    return steps


@contextmanager
def initialised(
    module: nn.Module, kinds: tuple[type[Quantizer], ...] = (Quantizer,), width: int | None = None
) -> Iterator[None]:
    """Let every quantiser of `module` set its steps, in place, by the first value it quantises in this context.

    With `width` only the steps of that bit-width are set.
    """
    met: set[Quantizer] = set()

    @torch.no_grad()
    def set_steps(quantizer: Quantizer, args: tuple[Tensor]) -> None:
        if quantizer in met or not quantizer.widths or width not in (None, *quantizer.widths):
            return
        met.add(quantizer)
        value = args[0].detach()
        rows = value.flatten(1) if quantizer.active_log_step.dim() else sampled(value)
        quantizer.active_log_step.copy_(best_steps(rows, *quantizer.limits).log().view_as(quantizer.active_log_step))

    parts = [part for part in module.modules() if isinstance(part, kinds)]
    handles = [part.register_forward_pre_hook(set_steps) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def sampled(value: Tensor) -> Tensor:
    """Take evenly spaced entries of an activation as one row, MOST_SAMPLED at most."""
    flat = value.reshape(1, -1)
    stride = -(-flat.shape[1] // MOST_SAMPLED)
    return flat[:, :: stride | 1]  # odd, so that no axis of even length is seen in part only


def quantized_widths(module: nn.Module) -> set[int]:
    """Return the bit-widths of all weights that a module quantises; empty for a float one."""
    return {width for part in module.modules() if isinstance(part, Quantizer) for width in part.widths}
