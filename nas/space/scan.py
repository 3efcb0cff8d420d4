"""Scan patterns: the order in which a state-space mixer visits an H x W grid of tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from nas.errors import NasError, did_you_mean

# Up to here all pairs of tokens cost less than chunks of CHUNK_TOKENS do (measured, fwd + bwd on one x86 core).
QUADRATIC_MAX_TOKENS = 64
CHUNK_TOKENS = 32


def raster_key(height: int, width: int) -> np.ndarray:
    """Row by row, left to right."""
    return np.arange(height * width).reshape(height, width)


def column_key(height: int, width: int) -> np.ndarray:
    """Column by column, top to bottom."""
    return np.arange(height * width).reshape(width, height).T


SCANS: dict[str, Callable[[int, int], np.ndarray]] = {"h": raster_key, "v": column_key}
FLIP = "_flip"


def scan_names() -> tuple[str, ...]:
    """Every pattern's name, each base order followed by its reverse."""
    return tuple(name + end for name in SCANS for end in ("", FLIP))


@lru_cache(maxsize=512)
def scan_order(name: str, height: int, width: int) -> np.ndarray:
    """Give `order[step]` = raster index visited at that step, int64 [height * width]; read-only.

    An order is the stable ascending argsort of an integer key, so it is a bijection on any grid.
    Raises `NasError` for an unknown name.
    """
    base = name.removesuffix(FLIP)
    if base not in SCANS:
        raise NasError(f"no scan pattern '{name}'", did_you_mean(name, scan_names()))
    order = np.argsort(SCANS[base](height, width).ravel(), kind="stable")
    order = order[::-1].copy() if name.endswith(FLIP) else order
    order.setflags(write=False)
    return order


@lru_cache(maxsize=512)
def scan_rank(name: str, height: int, width: int) -> np.ndarray:
    """Give `rank[raster index]` = step at which it is visited: the inverse of `scan_order`."""
    rank = np.argsort(scan_order(name, height, width), kind="stable")
    rank.setflags(write=False)
    return rank
