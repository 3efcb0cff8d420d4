"""Softmax attention over all tokens, within windows, or among tokens that are spread over the grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from nas.nn.layer_scale import ScaledLinear
from nas.nn.layers import Linear
from nas.nn.mixers.tokens import Grid
from nas.nn.quantizer import TensorQuantizer
from nas.space.operator import Operator
from nas.space.settings import scope_side


class Attention(nn.Module):
    """Multi-head softmax attention; queries, keys and values are separate so that each can be sliced.

    Channel c belongs to head `c % heads`, as in `StateSpaceCore`. Scope `window-N` lets windows of N x N tokens attend
    (Liu et al. 2021, Swin, without shifts), `grid-N` N x N tokens that lie evenly spread (Tu et al. 2022, MaxViT).
    Where N does not divide the grid, the sets at its border are smaller.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__()
        width = op.in_channels
        self.heads, self.scope = op["heads"], op["scope"]
        self.query = Linear(width, width, bits=op.bits)
        self.key = Linear(width, width, bits=op.bits)
        self.value = Linear(width, width, bits=op.bits)
        self.mixed = TensorQuantizer(op.bits)
        self.out = ScaledLinear(width, width, bits=op.bits)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Mix tokens [b, L, width] of a (height, width) grid in raster order."""
        sets = token_sets(self.scope, grid, tokens.device)
        if sets.count > 1:  # the sets become part of the batch: [b sets, tokens of a set, width]
            tokens = tokens[:, sets.cells].unflatten(1, (sets.count, -1)).flatten(0, 1)
        q, k, v = (
            layer(tokens).unflatten(2, (-1, self.heads)).permute(0, 3, 1, 2)  # [b sets, H, tokens, P]
            for layer in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        if sets.absent is not None:
            scores = (scores.unflatten(0, (-1, sets.count)) + sets.absent.to(scores.dtype)).flatten(0, 1)
        mixed = (scores.softmax(-1) @ v).permute(0, 2, 3, 1).flatten(2)
        if sets.count > 1:
            mixed = mixed.unflatten(0, (-1, sets.count)).flatten(1, 2)[:, sets.places]
        return self.out(self.mixed(mixed))


@dataclass(frozen=True, slots=True)
class TokenSets:
    """How the tokens of a grid are sorted into `count` sets of equal size that attend among themselves.

    `cells` [sets x size] are the tokens in the order of the sets; smaller sets repeat a token, which `absent`
    [sets, 1, 1, size] hides: -inf there, else 0. `places` [L] says where each token lies in that order.
    """

    count: int
    cells: Tensor
    places: Tensor
    absent: Tensor | None


@lru_cache(maxsize=256)
def token_sets(scope: str, grid: Grid, device: torch.device) -> TokenSets:
    """Sort the tokens of a (height, width) grid into the sets of a scope."""
    side = scope_side(scope)
    size = [length if side is None else min(side, length) for length in grid]
    sets = [-(-length // members) for length, members in zip(grid, size, strict=True)]
    i, j = np.indices((sets[0] * size[0], sets[1] * size[1]))  # the grid, enlarged to whole sets
    padding = (i >= grid[0]) | (j >= grid[1])
    cells = np.minimum(i, grid[0] - 1) * grid[1] + np.minimum(j, grid[1] - 1)

    def sort(x: np.ndarray) -> np.ndarray:
        if scope.startswith("grid"):
            return x.reshape(size[0], sets[0], size[1], sets[1]).transpose(1, 3, 0, 2).ravel()
        return x.reshape(sets[0], size[0], sets[1], size[1]).transpose(0, 2, 1, 3).ravel()

    cells, padding = sort(cells), sort(padding)
    places = np.flatnonzero(~padding)[np.argsort(cells[~padding])]
    count = sets[0] * sets[1]
    absent = np.where(padding, -math.inf, 0.0).astype(np.float32).reshape(count, 1, 1, -1)
    with torch.inference_mode(False):  # the cache outlives the caller's mode: training may use it next
        tensors = [torch.from_numpy(array).to(device) for array in (cells, places, absent)]
    return TokenSets(count, tensors[0], tensors[1], tensors[2] if padding.any() else None)
