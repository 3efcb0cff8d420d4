"""The blocks of a space as plain modules. A subnet holds them as they are; a supernet runs them on slices."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from nas.space.operator import Operator
from nas.supernet.mixers import NORM_EPS, Attention, SSDMixer


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm. `fold` turns the pair into one convolution with bias."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to [b, out, h / stride, w / stride]."""
        return self.norm(self.conv(x))

    def fold(self) -> None:
        """Put the norm, as it acts in eval mode, into the convolution's weight and a new bias."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = nn.utils.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Stem(nn.Module):
    """3x3 stride-2 convolution of the image."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.conv = ConvNorm(op.in_channels, op.out_channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [b, 3, h, w] to [b, out, h/2, w/2]."""
        return F.relu(self.conv(x))


class Head(nn.Module):
    """Mean over the grid, then a Linear classifier."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.classifier = nn.Linear(op.in_channels, op.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to logits [b, classes]."""
        return self.classifier(x.mean((2, 3)))


class BasicBlock(nn.Module):
    """Two dense 3x3 convolutions (He et al. 2016, figure 5 left)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.first = ConvNorm(op.in_channels, op.out_channels, 3)
        self.second = ConvNorm(op.out_channels, op.out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class ConvBlock(nn.Module):
    """Inverted bottleneck with a depthwise convolution (Sandler et al. 2018, MobileNetV2)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        hidden = op.in_channels * op["expansion"]
        self.expand = ConvNorm(op.in_channels, hidden, 1)
        self.depthwise = ConvNorm(hidden, hidden, op["kernel"], groups=hidden)
        self.project = ConvNorm(hidden, op.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        return x + self.project(F.relu(self.depthwise(F.relu(self.expand(x)))))


class GatedConvBlock(nn.Module):
    """A Mamba block without its scan (Yu & Wang 2024, MambaOut), normalised by foldable BatchNorm."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        hidden = op.in_channels * op["expansion"]
        self.gate = ConvNorm(op.in_channels, hidden, 1)
        self.value = ConvNorm(op.in_channels, hidden, 1)
        self.depthwise = ConvNorm(hidden, hidden, op["kernel"], groups=hidden)
        self.out = ConvNorm(hidden, op.out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        return x + self.out(F.silu(self.gate(x)) * self.depthwise(self.value(x)))


class SSDBlock(nn.Module):
    """Pre-norm residual state-space mixer."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(op.in_channels, eps=NORM_EPS)
        settings = dict(op.settings)
        self.mixer = SSDMixer(op.in_channels, **{"mode": "sum", **settings})  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        grid = (int(x.shape[2]), int(x.shape[3]))  # plain numbers also while an export traces
        mixed = self.mixer(self.norm(x.flatten(2).transpose(1, 2)), grid)
        return x + mixed.transpose(1, 2).unflatten(2, grid)


class AttentionBlock(nn.Module):
    """Pre-norm attention and MLP (Dosovitskiy et al. 2021)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        width, hidden = op.in_channels, op.in_channels * op["expansion"]
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.mixer = Attention(width, heads=op["heads"])
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, hidden)
        self.project = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.mixer(self.norm(tokens))
        tokens = tokens + self.project(F.relu(self.expand(self.mlp_norm(tokens))))
        return tokens.transpose(1, 2).unflatten(2, (x.shape[2], x.shape[3]))


class Downsample(nn.Module):
    """3x3 stride-2 convolution between two stages."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.conv = ConvNorm(op.in_channels, op.out_channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, in, h, w] to [b, out, h/2, w/2]."""
        return F.relu(self.conv(x))


BLOCKS: dict[str, Callable[[Operator], nn.Module]] = {
    "stem": Stem,
    "downsample": Downsample,
    "head": Head,
    "basic": BasicBlock,
    "conv": ConvBlock,
    "gated-conv": GatedConvBlock,
    "ssd": SSDBlock,
    "attention": AttentionBlock,
}


def build_operator(op: Operator) -> nn.Module:
    """Build the module of one operator, with fresh weights and its norms not folded."""
    return BLOCKS[op.kind](op)


def fold_norms(module: nn.Module) -> nn.Module:
    """Fold every BatchNorm of `module` into its convolution, in place; return the module, in eval mode."""
    for part in module.modules():
        if isinstance(part, ConvNorm):
            part.fold()
    return module.eval()
