"""What turns the image into the first stage's map, one stage's map into the next one's, the last one into logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.conv_norm import ConvNorm
from nas.nn.layers import Conv2d, Linear
from nas.nn.quantizer import TensorQuantizer
from nas.space.operator import Operator, halve


class Stem(nn.Module):
    """3x3 stride-2 convolution of the image."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.conv = ConvNorm(op.in_channels, op.out_channels, 3, stride=2, relu=True, bits=op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to [b, out, h/2, w/2]."""
        return self.conv(x)


class DoubleStem(nn.Module):
    """Two 3x3 stride-2 convolutions, the first half as wide (as in VMamba's second version and many others)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        middle = halve(op.out_channels)
        self.first = ConvNorm(op.in_channels, middle, 3, stride=2, relu=True, bits=op.bits)
        self.second = ConvNorm(middle, op.out_channels, 3, stride=2, relu=True, bits=op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to [b, out, h/4, w/4]."""
        return self.second(self.first(x))


class PatchStem(nn.Module):
    """Patches that do not overlap, each a token, plus a learnt position (Dosovitskiy et al. 2021)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        patch = op["patch"]
        self.patches = Conv2d(op.in_channels, op.out_channels, patch, patch, bits=op.bits)
        tokens = (op.grid // patch) ** 2
        self.position = nn.Parameter(0.02 * torch.randn(op.out_channels, tokens))  # ViT's standard deviation
        self.output = TensorQuantizer(op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to [b, out, h/patch, w/patch]."""
        x = self.patches(x)
        return self.output(x + self.position.view(x.shape[1:]))


class Downsample(nn.Module):
    """3x3 stride-2 convolution between two stages."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.conv = ConvNorm(op.in_channels, op.out_channels, 3, stride=2, relu=True, bits=op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to [b, out, h/2, w/2]."""
        return self.conv(x)


class Widen(nn.Module):
    """1x1 convolution between two stages on the same grid."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.conv = ConvNorm(op.in_channels, op.out_channels, 1, relu=True, bits=op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to [b, out, h, w]."""
        return self.conv(x)


class Head(nn.Module):
    """Mean over the grid, then a Linear classifier."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.mean = TensorQuantizer(op.bits)
        self.classifier = Linear(op.in_channels, op.out_channels, bits=op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to logits [b, classes]."""
        if self.mean.widths:  # the one form of a mean that ONNX Runtime computes on integer values
            return self.classifier(self.mean(F.adaptive_avg_pool2d(x, 1)).flatten(1))
        return self.classifier(x.mean((2, 3)))
