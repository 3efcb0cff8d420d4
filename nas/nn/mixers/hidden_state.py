"""A mixer that works on a few states instead of on all tokens."""

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


class HiddenStateMixer(nn.Module):
    """Hidden-state mixer (Lee et al. 2024, EfficientViM): gate and projections run on N states, not on L tokens.

    `h = (softmax over tokens of dt * B)^T x`, `y = C out(value(h) (silu(gate(h)) + D))`. Channel 3 n + r of the first
    projection is B, C or dt (r = 0, 1, 2) of state n, so a slice of the first channels keeps whole states. The paper's
    A is left out: one number per state cancels in the softmax over tokens.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__()
        width, state = op.in_channels, op["state"]
        inner = hidden_width(width, op["expansion"])
        self.state = state
        self.select = Linear(width, 3 * state, bias=False, bits=op.bits)
        kernel = op["kernel"]
        self.depthwise = Conv2d(3 * state, 3 * state, kernel, 1, kernel // 2, groups=3 * state, bits=op.bits)
        self.gate = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.skip = nn.Parameter(torch.ones(1))
        self.out = ScaledLinear(inner, width, bias=False)
        self.read = TensorQuantizer(op.bits)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Mix tokens [b, L, width] of a (height, width) grid in raster order."""
        selected = self.depthwise(as_map(self.select(tokens), grid)).flatten(2).unflatten(1, (-1, 3))
        b, c, dt = selected.unbind(2)  # [b, N, L] each
        shares = dt.to(torch.promote_types(dt.dtype, torch.float32)).softmax(2)
        h = (b * shares).to(tokens.dtype) @ tokens  # [b, N, width]
        h = self.out(self.value(h) * (F.silu(self.gate(h)) + self.skip))
        # the scale does not depend on the number of states
        return self.read((c.transpose(1, 2) * self.state**-0.5) @ h)
