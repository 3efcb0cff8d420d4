"""The gated family: one frame of gate, value, depthwise convolution and output, around one of several cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.layer_scale import ScaledLinear
from nas.nn.layers import Conv2d, Linear
from nas.nn.mixers.tokens import Grid, as_map
from nas.nn.quantizer import TensorQuantizer
from nas.space.operator import Operator
from nas.space.settings import hidden_width


class GatedMixer(nn.Module):
    """Mixes tokens: `out(core(depthwise(value)) * silu(gate))` (Gu & Dao 2023, arXiv 2312.00752, figure 3).

    `core` maps (convolved map [b, inner, h, w], tokens [b, L, width]) to [b, inner, L]. The depthwise convolution sees
    both axes, unlike the causal one of Mamba, so that all scan directions can share its output. All members of the
    family have the same tensors under the same names, which a supernet shares (nas.supernet.sharing).
    """

    def __init__(self, op: Operator, core: nn.Module) -> None:
        super().__init__()
        width, inner = op.in_channels, hidden_width(op.in_channels, op["expansion"])
        self.gate = Linear(width, inner, bias=False, bits=op.bits)
        self.value = Linear(width, inner, bias=False, bits=op.bits)
        self.depthwise = Conv2d(inner, inner, op["kernel"], 1, op["kernel"] // 2, groups=inner, bits=op.bits)
        self.core = core
        self.gated = TensorQuantizer(op.bits)
        self.out = ScaledLinear(inner, width, bias=False, bits=op.bits)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Mix tokens [b, L, width] of a (height, width) grid in raster order."""
        x = self.depthwise(as_map(self.value(tokens), grid))
        return self.out(self.gated(self.core(x, tokens).transpose(1, 2) * F.silu(self.gate(tokens))))

    @torch.no_grad()
    def fold(self) -> None:
        """Put the weight of the core's norm, if it has one, into the output's.

        Not where that is quantised: there it smooths the gated channels, which differ widely, before they get one step.
        """
        if self.gated.widths:
            return
        norm = getattr(self.core, "head_norm", None)
        if norm is not None and norm.weight is not None:
            self.out.linear.weight.mul_(norm.weight)
            norm.weight = None


class NoCore(nn.Module):
    """Leaves the convolved map as it is: the mixer is a gated convolution (Yu & Wang 2024, MambaOut, 2405.07992)."""

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map x [b, inner, h, w] to [b, inner, L]; the tokens play no part."""
        return x.flatten(2)
