"""What the state-space cores of the gated family have in common: selection, the skip connection and the norm."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.layers import Linear
from nas.space.operator import Operator
from nas.space.settings import hidden_width

NORM_EPS = 1e-6
DT_MIN, DT_MAX = 1e-4, 1.0


class StateSpaceCore(nn.Module):
    """A core whose tokens choose what they write (B), what they read (C) and for how long (dt), in every head.

    Channel c of the inner width belongs to head `c % heads`, so a slice of the first channels keeps every head, and
    with `heads` a multiple of the directions a channel keeps its direction whatever the width. Subclasses say in `mix`
    how the tokens are mixed. Tokens are the last axis: what a head has one number for then spans whole rows of memory.
    """

    def __init__(self, op: Operator, state: int) -> None:
        super().__init__()
        width, self.heads, self.state = op.in_channels, op["heads"], state
        self.to_b = Linear(width, state, bias=False, bits=op.bits)
        self.to_c = Linear(width, state, bias=False, bits=op.bits)
        self.to_dt = Linear(width, self.heads, bias=False, bits=op.bits)
        self.dt_bias = nn.Parameter(initial_dt_bias(self.heads))
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.head_norm = HeadNorm(hidden_width(width, op["expansion"]), self.heads)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Mix a map x [b, inner, h, w] as `tokens` [b, L, width] select and return [b, inner, L]."""
        x = F.silu(x)
        y = self.mix(x, *self.select(tokens))
        return self.head_norm(y + by_head(x, self.heads) * self.skip[:, None])

    def select(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return dt [b, L, H] in at least float32, B and C [b, L, N].

        C is scaled by N^-1/2, which keeps the output's scale independent of the state size.
        """
        dt = self.to_dt(tokens).to(self.dt_bias.dtype) + self.dt_bias  # autocast would add in its low precision
        dt = F.softplus(dt).clamp(DT_MIN, DT_MAX)
        return dt, self.to_b(tokens), self.to_c.scaled(tokens, self.state**-0.5)

    def mix(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Mix a map x [b, inner, h, w] and return [b, P, H, L], as `by_head` does."""
        raise NotImplementedError


class HeadNorm(nn.Module):
    """RMSNorm within each head, which is independent of how many heads there are, then one factor per channel."""

    weight: nn.Parameter | None

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, y: Tensor) -> Tensor:
        """Map [b, P, H, L] to [b, P H, L]."""
        y = (y * torch.rsqrt(y.square().mean(1, keepdim=True) + NORM_EPS)).flatten(1, 2)
        return y if self.weight is None else y * self.weight[:, None]


def by_head(x: Tensor, heads: int) -> Tensor:
    """Return a map [b, P H, h, w] as [b, P, H, L], a view: channel c belongs to head `c % heads`."""
    return x.flatten(2).unflatten(1, (-1, heads))


def initial_dt_bias(heads: int) -> Tensor:
    """Return biases whose softplus is spread log-uniformly over [1e-3, 1e-1] (state-spaces/mamba)."""
    dt = torch.exp(torch.rand(heads) * (math.log(1e-1) - math.log(1e-3)) + math.log(1e-3)).clamp(min=DT_MIN)
    return dt + torch.log(-torch.expm1(-dt))


def initial_a_log(heads: int) -> Tensor:
    """Return log A_h = u_h log 16 with u_h = frac(1/2 + golden ratio x h): every prefix of heads covers [1, 16]."""
    spread = torch.frac(0.5 + 0.618034 * torch.arange(heads))
    return spread * math.log(16.0)
