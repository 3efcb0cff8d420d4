"""Convolutions and Linear layers whose weights, and where told so outputs, may be quantised; plain ones for `fp`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.quantizer import TensorQuantizer, WeightQuantizer
from nas.space.architecture import Bits


class Conv2d(nn.Conv2d):
    """A convolution with a quantised weight; its output is quantised unless a norm or a ReLU comes first."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        *,
        groups: int = 1,
        bias: bool = True,
        bits: Bits = "fp",
        quantize_output: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)
        self.weight_quantizer = WeightQuantizer(bits, out_channels)
        self.output = TensorQuantizer(bits if quantize_output else "fp")

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to [b, out, h / stride, w / stride]."""
        return self.output(self._conv_forward(x, self.weight_quantizer(self.weight), self.bias))


class Linear(nn.Linear):
    """A Linear layer, with `relu` the ReLU behind it, whose weight and output are quantised."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        bits: Bits = "fp",
        relu: bool = False,
        quantize_output: bool = True,
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self.relu = relu
        self.weight_quantizer = WeightQuantizer(bits, out_features)
        self.output = TensorQuantizer(bits if quantize_output else "fp", signed=not relu)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        y = F.linear(x, self.weight_quantizer(self.weight), self.bias)
        return self.output(F.relu(y) if self.relu else y)

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Map [..., in] to [..., out] times `factor`: free in float, behind the output's quantiser otherwise."""
        if self.output.widths:
            return self(x) * factor
        return F.linear(x, self.weight * factor)
