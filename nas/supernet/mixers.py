"""The token mixers: modules that exchange information between the tokens of a sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.supernet.ssd import ssd

NORM_EPS = 1e-6
DT_MIN, DT_MAX = 1e-4, 1.0


class SSDMixer(nn.Module):
    """A gated state-space mixer whose scan directions are a setting.

    Maps [b, width, h, w] to the same shape. Channel c of the inner width belongs to head `c % heads`, so a slice of
    the first channels keeps every head, and with `heads` a multiple of the directions a channel keeps its direction
    whatever the width. Directions share every weight except `log_scale`, one decay factor per direction and head.
    """

    def __init__(
        self, width: int, *, expansion: int, heads: int, state: int, kernel: int, directions: tuple[str, ...], mode: str
    ) -> None:
        super().__init__()
        inner = width * expansion
        self.heads, self.state, self.directions, self.mode = heads, state, directions, mode
        self.gate = nn.Linear(width, inner, bias=False)
        self.value = nn.Linear(width, inner, bias=False)
        self.to_b = nn.Linear(width, state, bias=False)
        self.to_c = nn.Linear(width, state, bias=False)
        self.to_dt = nn.Linear(width, heads, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner)
        self.dt_bias = nn.Parameter(initial_dt_bias(heads))
        self.a_log = nn.Parameter(initial_a_log(heads))
        self.skip = nn.Parameter(torch.ones(heads))
        self.log_scale = nn.ParameterDict({name: nn.Parameter(torch.zeros(heads)) for name in directions})
        self.head_norm = nn.Parameter(torch.ones(inner))
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mix tokens [b, L, width] of a (height, width) grid in raster order."""
        x = self.value(tokens).transpose(1, 2).unflatten(2, grid)
        x = F.silu(self.depthwise(x)).flatten(2).transpose(1, 2)
        x = x.unflatten(2, (-1, self.heads)).transpose(2, 3)  # [b, L, H, P]
        dt = F.softplus(self.to_dt(tokens) + self.dt_bias).clamp(DT_MIN, DT_MAX)
        # N^-1/2 keeps the output's scale independent of the state size (scan_mixers reference, section 5.3).
        c = self.to_c(tokens) * self.state**-0.5
        scale = torch.stack([self.log_scale[name] for name in self.directions])
        y = ssd(
            x,
            dt,
            -self.a_log.exp(),
            self.to_b(tokens),
            c,
            patterns=self.directions,
            grid=grid,
            mode=self.mode,
            log_scale=scale,
        )
        y = y + x * self.skip[:, None]
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + NORM_EPS)  # per head: independent of the other heads
        y = y.transpose(2, 3).flatten(2) * self.head_norm
        return self.out(y * F.silu(self.gate(tokens)))


def initial_dt_bias(heads: int) -> Tensor:
    """Give biases whose softplus is spread log-uniformly over [1e-3, 1e-1] (state-spaces/mamba)."""
    dt = torch.exp(torch.rand(heads) * (math.log(1e-1) - math.log(1e-3)) + math.log(1e-3)).clamp(min=DT_MIN)
    return dt + torch.log(-torch.expm1(-dt))


def initial_a_log(heads: int) -> Tensor:
    """Give log A_h = u_h log 16 with u_h = frac(1/2 + golden ratio x h): every prefix of heads covers [1, 16]."""
    spread = torch.frac(0.5 + 0.618034 * torch.arange(heads))
    return spread * math.log(16.0)


class Attention(nn.Module):
    """Multi-head softmax attention over all tokens; queries, keys and values are separate so that each can be sliced.

    Channel c belongs to head `c % heads`, as in `SSDMixer`.
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix tokens [b, L, width]."""
        q, k, v = (
            layer(tokens).unflatten(2, (-1, self.heads)).permute(0, 3, 1, 2)  # [b, H, L, P]
            for layer in (self.query, self.key, self.value)
        )
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
        return self.out((weights @ v).permute(0, 2, 3, 1).flatten(2))
