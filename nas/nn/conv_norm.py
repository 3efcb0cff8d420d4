"""A convolution with its BatchNorm: the pair that becomes one convolution when a network is deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.layers import Conv2d
from nas.nn.quantizer import TensorQuantizer
from nas.space.architecture import Bits


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm, which starts from the factor `scale`, and with `relu` a ReLU.

    `fold` turns convolution and norm into one convolution with bias. What comes out is quantised, behind the ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        scale: float = 1.0,
        relu: bool = False,
        bits: Bits = "fp",
    ) -> None:
        super().__init__()
        padding = kernel // 2
        self.conv = Conv2d(
            *(in_channels, out_channels, kernel, stride, padding),
            groups=groups,
            bias=False,
            bits=bits,
            quantize_output=False,
        )
        self.norm: nn.Module = scaled_norm(out_channels, scale)
        self.relu = relu
        self.output = TensorQuantizer(bits, signed=not relu)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to [b, out, h / stride, w / stride]."""
        y = self.norm(self.conv(x))
        return self.output(F.relu(y) if self.relu else y)

    def fold(self) -> None:
        """Put the norm, as it acts in eval mode, into the convolution's weight and a new bias."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv.weight_quantizer.rescale(factor_of(self.norm))
            self.conv = nn.utils.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class PoolNorm(nn.Module):
    """What average pooling adds to its input, then BatchNorm. `fold` leaves one factor and one summand per channel."""

    def __init__(self, channels: int, kernel: int, scale: float = 1.0, bits: Bits = "fp") -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(kernel, 1, kernel // 2, count_include_pad=False)
        self.norm: nn.Module = scaled_norm(channels, scale)
        self.output = TensorQuantizer(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, channels, h, w] to the same shape."""
        return self.output(self.norm(self.pool(x) - x))

    def fold(self) -> None:
        """Put the norm, as it acts in eval mode, into an `Affine`."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.norm = Affine(self.norm)


class Affine(nn.Module):
    """A BatchNorm as it acts in eval mode: one factor and one summand per channel."""

    @torch.no_grad()
    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        weight = factor_of(norm)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(norm.bias - norm.running_mean * weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, channels, h, w] to the same shape."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]


@torch.no_grad()
def factor_of(norm: nn.BatchNorm2d) -> Tensor:
    """Return by what a BatchNorm multiplies each channel in eval mode."""
    assert norm.running_var is not None
    return norm.weight / torch.sqrt(norm.running_var + norm.eps)


def scaled_norm(channels: int, scale: float) -> nn.BatchNorm2d:
    """Make a BatchNorm whose factors start from `scale`."""
    norm = nn.BatchNorm2d(channels)
    nn.init.constant_(norm.weight, scale)
    return norm
