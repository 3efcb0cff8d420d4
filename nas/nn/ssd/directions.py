"""The scan directions of one call, and the constant tensors of a pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nas.space.scan import scan_order, scan_rank, scan_starts


@dataclass(frozen=True, slots=True)
class Directions:
    """Which ways the tokens of a grid are scanned.

    In mode `sum` the results of all are added, times `weight` [K, H] if given; in mode `group` head h has direction
    h % K. `scale` [K, H], if given, multiplies the log decay of a direction and head.
    """

    patterns: tuple[str, ...]
    grid: tuple[int, int]
    mode: str
    scale: Tensor | None
    weight: Tensor | None

    def heads(self, k: int) -> slice:
        """Heads that scan along direction k."""
        return slice(k, None, len(self.patterns)) if self.mode == "group" else slice(None)

    def decay(self, log_decay: Tensor, k: int) -> Tensor:
        """Log decay [b, L, heads of k] along direction k."""
        return (log_decay if self.scale is None else log_decay * self.scale[k])[..., self.heads(k)]


def constant(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device as a tensor that may be cached: it outlives the caller's inference mode."""
    with torch.inference_mode(False):
        return torch.from_numpy(np.array(array)).to(device)


@lru_cache(maxsize=512)
def order_tensors(pattern: str, grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a pattern's order [L] and rank [L], as in nas.space.scan."""
    return constant(scan_order(pattern, *grid), device), constant(scan_rank(pattern, *grid), device)


@lru_cache(maxsize=512)
def segment_bounds(pattern: str, grid: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the first step and the step after the last of each segment."""
    starts = scan_starts(pattern, *grid).tolist()
    return tuple(zip(starts, [*starts[1:], grid[0] * grid[1]], strict=True))


@lru_cache(maxsize=256)
def causal_bias(pattern: str, grid: tuple[int, int], device: torch.device) -> Tensor:
    """Return [L, L]: 0 where token j is visited before i, or is i, in the same segment, else -inf."""
    rank = scan_rank(pattern, *grid)
    segment = np.searchsorted(scan_starts(pattern, *grid), rank, side="right")
    reaches = (rank[:, None] >= rank[None, :]) & (segment[:, None] == segment[None, :])
    return constant(np.where(reaches, 0.0, -math.inf).astype(np.float32), device)
