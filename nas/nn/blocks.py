"""The blocks of a space as plain modules. A subnet holds them as they are; a supernet runs them on slices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.conv_norm import ConvNorm, PoolNorm
from nas.nn.layer_scale import LAYER_SCALE, ScaledLinear
from nas.nn.layers import Conv2d, Linear
from nas.nn.mixers.attention import Attention
from nas.nn.mixers.gated import GatedMixer, NoCore
from nas.nn.mixers.hidden_state import HiddenStateMixer
from nas.nn.mixers.non_causal import NonCausalCore
from nas.nn.mixers.scanned import MultiscaleCore, ScanCore, StateFusionCore
from nas.nn.mixers.state_space import NORM_EPS
from nas.nn.mixers.tokens import as_map, as_tokens, grid_of
from nas.nn.quantizer import TensorQuantizer
from nas.nn.stems import DoubleStem, Downsample, Head, PatchStem, Stem, Widen
from nas.space.operator import Operator
from nas.space.settings import BRANCHES, hidden_width


class BasicBlock(nn.Module):
    """Two dense 3x3 convolutions (He et al. 2016, figure 5 left)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        self.first = ConvNorm(op.in_channels, op.out_channels, 3, relu=True, bits=op.bits)
        self.second = ConvNorm(op.out_channels, op.out_channels, 3, scale=LAYER_SCALE, bits=op.bits)
        self.sum = TensorQuantizer(op.bits, signed=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        return self.sum(F.relu(x + self.second(self.first(x))))


class ConvBlock(nn.Module):
    """Inverted bottleneck with a depthwise convolution (Sandler et al. 2018, MobileNetV2)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        hidden = hidden_width(op.in_channels, op["expansion"])
        self.expand = ConvNorm(op.in_channels, hidden, 1, relu=True, bits=op.bits)
        self.depthwise = ConvNorm(hidden, hidden, op["kernel"], groups=hidden, relu=True, bits=op.bits)
        self.project = ConvNorm(hidden, op.out_channels, 1, scale=LAYER_SCALE, bits=op.bits)
        self.sum = TensorQuantizer(op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        return self.sum(x + self.project(self.depthwise(self.expand(x))))


class LargeKernelBlock(nn.Module):
    """A large kernel in parts, then an MLP (Yu et al. 2023, InceptionNeXt, arXiv 2303.16900).

    Of every BRANCHES channels the first sees a square, the second a row, the third a column, the others pass through:
    interleaved, so that a slice of the first channels keeps every branch. The norms follow the 1x1 convolutions instead
    of the mixing, so that they fold.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__()
        width, hidden, part = op.in_channels, hidden_width(op.in_channels, op["expansion"]), op.in_channels // BRANCHES
        sizes = {"square": (op["kernel"], op["kernel"]), "row": (1, op["band"]), "column": (op["band"], 1)}
        self.branches = nn.ModuleDict(
            {
                name: Conv2d(part, part, (h, w), 1, (h // 2, w // 2), groups=part, bias=False, bits=op.bits)
                for name, (h, w) in sizes.items()
            }
        )
        self.mixed = TensorQuantizer(op.bits)
        self.expand = ConvNorm(width, hidden, 1, relu=True, bits=op.bits)
        self.project = ConvNorm(hidden, width, 1, scale=LAYER_SCALE, bits=op.bits)
        self.sum = TensorQuantizer(op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        parts = x.unflatten(1, (-1, BRANCHES))
        mixed = [conv(parts[:, :, index]) for index, conv in enumerate(self.branches.values())]
        y = torch.cat([*(part.unsqueeze(2) for part in mixed), parts[:, :, len(mixed) :]], 2).flatten(1, 2)
        return self.sum(x + self.project(self.expand(self.mixed(y))))


class PoolBlock(nn.Module):
    """Average pooling as the token mixer, then an MLP (Yu et al. 2022, PoolFormer, arXiv 2111.11418).

    Normalised by BatchNorm behind each part instead of GroupNorm before it, so that the MLP's folds.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__()
        hidden = hidden_width(op.in_channels, op["expansion"])
        self.mix = PoolNorm(op.in_channels, op["kernel"], scale=LAYER_SCALE, bits=op.bits)
        self.mixed = TensorQuantizer(op.bits)
        self.expand = ConvNorm(op.in_channels, hidden, 1, relu=True, bits=op.bits)
        self.project = ConvNorm(hidden, op.out_channels, 1, scale=LAYER_SCALE, bits=op.bits)
        self.sum = TensorQuantizer(op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        x = self.mixed(x + self.mix(x))
        return self.sum(x + self.project(self.expand(x)))


class MixerBlock(nn.Module):
    """Pre-norm residual token mixer, which maps (tokens [b, L, width], grid) to the same shape."""

    def __init__(self, op: Operator, mixer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(op.in_channels, eps=NORM_EPS)
        self.normed = TensorQuantizer(op.bits)
        self.mixer = mixer
        self.sum = TensorQuantizer(op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        grid = grid_of(x)
        return self.sum(x + as_map(self.mixer(self.normed(self.norm(as_tokens(x))), grid), grid))


class AttentionBlock(nn.Module):
    """Pre-norm attention and MLP (Dosovitskiy et al. 2021)."""

    def __init__(self, op: Operator) -> None:
        super().__init__()
        width, hidden = op.in_channels, hidden_width(op.in_channels, op["expansion"])
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.normed = TensorQuantizer(op.bits)
        self.mixer = Attention(op)
        self.mixed = TensorQuantizer(op.bits)
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp_normed = TensorQuantizer(op.bits)
        self.expand = Linear(width, hidden, relu=True, bits=op.bits)
        self.project = ScaledLinear(hidden, width, bits=op.bits)
        self.sum = TensorQuantizer(op.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, width, h, w] to the same shape."""
        grid, tokens = grid_of(x), as_tokens(x)
        tokens = self.mixed(tokens + self.mixer(self.normed(self.norm(tokens)), grid))
        tokens = self.sum(tokens + self.project(self.expand(self.mlp_normed(self.mlp_norm(tokens)))))
        return as_map(tokens, grid)


def gated_block(core: Callable[[Operator], nn.Module], op: Operator) -> nn.Module:
    """Build a block of the gated family around a core."""
    return MixerBlock(op, GatedMixer(op, core(op)))


BLOCKS: dict[str, Callable[[Operator], nn.Module]] = {
    "stem": Stem,
    "double-stem": DoubleStem,
    "patch-stem": PatchStem,
    "downsample": Downsample,
    "widen": Widen,
    "head": Head,
    "quantize": lambda op: TensorQuantizer(op.bits),
    "dequantize": lambda op: nn.Identity(),
    "basic": BasicBlock,
    "conv": ConvBlock,
    "large-kernel": LargeKernelBlock,
    "pool": PoolBlock,
    "gated-conv": partial(gated_block, lambda op: NoCore()),
    "ssd": partial(gated_block, ScanCore),
    "nc-ssd": partial(gated_block, NonCausalCore),
    "multiscale": partial(gated_block, MultiscaleCore),
    "state-fusion": partial(gated_block, StateFusionCore),
    "hsm": lambda op: MixerBlock(op, HiddenStateMixer(op)),
    "attention": AttentionBlock,
}


def build_operator(op: Operator) -> nn.Module:
    """Build the module of one operator, with fresh weights and its norms not folded."""
    return BLOCKS[op.kind](op)


def fold_norms(module: nn.Module) -> nn.Module:
    """Fold what only scales or shifts into the weights beside it, in place; return the module, in eval mode.

    That are BatchNorms, LayerScales and the weights of head norms.
    """
    for part in list(module.modules()):
        if isinstance(part, (ConvNorm, PoolNorm, GatedMixer, ScaledLinear)):
            part.fold()
    return module.eval()
