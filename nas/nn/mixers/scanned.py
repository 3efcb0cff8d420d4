"""Cores that scan: at full resolution, at two resolutions, and with states that see the states around them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.nn.layers import Conv2d
from nas.nn.mixers.state_space import StateSpaceCore, by_head, initial_a_log
from nas.nn.mixers.tokens import Grid, grid_of
from nas.nn.quantizer import TensorQuantizer
from nas.nn.ssd import ssd
from nas.space.merge_mode import effective_mode
from nas.space.operator import Operator
from nas.space.settings import hidden_width

DILATIONS = (1, 3, 5)  # of the 3x3 convolutions that fuse states


class ScanCore(StateSpaceCore):
    """State-space duality (Dao & Gu 2024, arXiv 2405.21060) whose scan directions are a setting.

    The directions share every weight except `log_scale`, one decay factor per direction and head.
    """

    def __init__(self, op: Operator, state: int | None = None) -> None:
        super().__init__(op, op["state"] if state is None else state)
        self.directions: tuple[str, ...] = op["directions"]
        self.mode = effective_mode(dict(op.settings))
        self.a_log = nn.Parameter(initial_a_log(self.heads))
        self.log_scale = nn.ParameterDict({name: nn.Parameter(torch.zeros(self.heads)) for name in self.directions})

    def mix(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Scan the whole grid in every direction."""
        return self.scan(x, dt, b, c, self.directions)

    def scan(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor, directions: tuple[str, ...]) -> Tensor:
        """Scan a map x [b, inner, h, w] with dt [b, L, H], B and C [b, L, N]. Return [b, P, H, L]."""
        heads = by_head(x, self.heads).permute(0, 3, 2, 1)  # [b, L, H, P]
        scale = torch.stack([self.log_scale[name] for name in directions])
        decay = -self.a_log.exp()
        y = ssd(heads, dt, decay, b, c, patterns=directions, grid=grid_of(x), mode=self.mode, log_scale=scale)
        return y.permute(0, 3, 2, 1)


class MultiscaleCore(ScanCore):
    """Scans its first direction on the full grid and the others on a halved one (Shi et al. 2024, MSVMamba).

    A depthwise convolution of stride 2 halves the map; each halved token selects as the one at its centre does. The
    result is the mean over the directions, the halved ones upsampled bilinearly.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__(op)
        inner, kernel = hidden_width(op.in_channels, op["expansion"]), op["kernel"]
        self.full = TensorQuantizer(op.bits)
        self.halve = Conv2d(inner, inner, kernel, 2, kernel // 2, groups=inner, bits=op.bits)

    def mix(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Scan at two resolutions."""
        grid, (first, *others) = grid_of(x), self.directions
        fine = self.scan(x, dt, b, c, (first,))
        small = self.halve(self.full(x))
        dt, b, c = (every_other(tokens, grid) for tokens in (dt, b, c))
        coarse = self.scan(small, dt, b, c, tuple(others)).flatten(1, 2).unflatten(2, grid_of(small))
        coarse = F.interpolate(coarse, size=grid, mode="bilinear", align_corners=False)
        share = 1 / len(self.directions)
        return fine * share + by_head(coarse, self.heads) * (1 - share)


class StateFusionCore(ScanCore):
    """Scans once with one state per channel and fuses the map of states (Xiao et al. 2024, Spatial-Mamba).

    `y = C * (sum of dilated depthwise convolutions of h)`: a token also reads the states around it.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__(op, state=1)
        inner = hidden_width(op.in_channels, op["expansion"])
        self.fusion = nn.ModuleList(
            nn.Conv2d(inner, inner, 3, padding=d, dilation=d, groups=inner, bias=False) for d in DILATIONS
        )

    def mix(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Scan for the states, fuse them, read them."""
        states = self.scan(x, dt, b, torch.ones_like(c), self.directions)
        states = states.flatten(1, 2).unflatten(2, grid_of(x))
        near, middle, far = (conv(states) for conv in self.fusion)
        return by_head(near + middle + far, self.heads) * c.transpose(1, 2)[:, None]


def every_other(tokens: Tensor, grid: Grid) -> Tensor:
    """Return the tokens [b, L/4, channels] in even rows and columns, on which a stride-2 convolution is centred."""
    return tokens.unflatten(1, grid)[:, ::2, ::2].flatten(1, 2)
