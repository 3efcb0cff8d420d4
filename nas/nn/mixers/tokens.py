"""Tokens [b, h x w, channels] in raster order, and maps [b, channels, h, w]: two views of the same numbers."""

from __future__ import annotations

from torch import Tensor

Grid = tuple[int, int]  # height, width


def as_tokens(x: Tensor) -> Tensor:
    """Return a map [b, channels, h, w] as tokens [b, h w, channels]: a view."""
    return x.flatten(2).transpose(1, 2)


def as_map(tokens: Tensor, grid: Grid) -> Tensor:
    """Return tokens [b, h w, channels] as a map [b, channels, h, w]: a view."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def grid_of(x: Tensor) -> Grid:
    """Return a map's height and width, as plain numbers also while an export traces."""
    return int(x.shape[2]), int(x.shape[3])
