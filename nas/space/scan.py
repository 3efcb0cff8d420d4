"""Scan patterns: the order in which a state-space mixer visits an H x W grid of tokens, and where it starts again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from nas.errors import NasError, did_you_mean

# How a deployed network scans: all pairs of tokens at once up to here, else chunks of at most CHUNK_TOKENS (see
# nas.space.chunks); measured forward and backward on one x86 core.
QUADRATIC_MAX_TOKENS = 64
CHUNK_TOKENS = 32

FLIP = "_flip"
Key = Callable[[int, int], np.ndarray]


def raster_key(height: int, width: int) -> np.ndarray:
    """Row by row, left to right."""
    return np.arange(height * width).reshape(height, width)


def column_key(height: int, width: int) -> np.ndarray:
    """Column by column, top to bottom."""
    return raster_key(width, height).T


def snake_key(height: int, width: int) -> np.ndarray:
    """Row by row, every other row from right to left: each step goes to a neighbour (PlainMamba)."""
    i, j = np.indices((height, width))
    return i * width + np.where(i % 2 == 0, j, width - 1 - j)


def snake_column_key(height: int, width: int) -> np.ndarray:
    """Column by column, every other column from bottom to top."""
    return snake_key(width, height).T


def window_key(side: int) -> Key:
    """Return the key of windows in raster order, raster inside; windows at the border are truncated (LocalMamba)."""

    def key(height: int, width: int) -> np.ndarray:
        i, j = np.indices((height, width))
        window = (i // side) * -(-width // side) + j // side
        return window * side**2 + (i % side) * side + j % side

    return key


def diagonal_key(height: int, width: int) -> np.ndarray:
    """Antidiagonal by antidiagonal, downwards on the even ones and upwards on the odd ones (MHS-VM, adapted)."""
    i, j = np.indices((height, width))
    diagonal = i + j
    return diagonal * (height + width) + np.where(diagonal % 2 == 0, i, height - 1 - i)


def mirrored_diagonal_key(height: int, width: int) -> np.ndarray:
    """`diagonal_key` of the grid mirrored left to right."""
    return diagonal_key(height, width)[:, ::-1]


def spiral_key(height: int, width: int) -> np.ndarray:
    """Clockwise inwards from the top left corner, ring by ring."""
    i, j = np.indices((height, width))
    ring = np.minimum(np.minimum(i, height - 1 - i), np.minimum(j, width - 1 - j))
    top, left, bottom, right = i - ring, j - ring, height - 1 - ring - i, width - 1 - ring - j  # distances to the sides
    across, down = width - 1 - 2 * ring, height - 1 - 2 * ring
    step = np.select(
        [top == 0, right == 0, bottom == 0],
        [left, across + top, across + down + right],
        2 * across + down + bottom,
    )
    return ring * 2 * (height + width) + step


def hilbert_key(height: int, width: int) -> np.ndarray:
    """Hilbert's curve through the enclosing square of a power of two, without what lies outside the grid."""
    side = 1
    while side < max(height, width):
        side *= 2
    y, x = np.indices((height, width))
    index = np.zeros((height, width), dtype=np.int64)
    half = side // 2
    while half:
        right, below = (x & half > 0).astype(np.int64), (y & half > 0).astype(np.int64)
        index += half**2 * ((3 * right) ^ below)
        turn, mirror = below == 0, (below == 0) & (right == 1)
        x, y = np.where(mirror, side - 1 - x, x), np.where(mirror, side - 1 - y, y)
        x, y = np.where(turn, y, x), np.where(turn, x, y)
        half //= 2
    return index


def atrous_phase(stride: int) -> Key:
    """Return each cell's phase: its position within a tile of `stride` x `stride`."""

    def phase(height: int, width: int) -> np.ndarray:
        i, j = np.indices((height, width))
        return (i % stride) * stride + j % stride

    return phase


def atrous_key(stride: int) -> Key:
    """Return the key of every `stride`-th cell of every `stride`-th row, phase by phase (EfficientVMamba)."""

    def key(height: int, width: int) -> np.ndarray:
        i, j = np.indices((height, width))
        return atrous_phase(stride)(height, width) * height * width + (i // stride) * width + j // stride

    return key


# Each pattern's key: cells are visited in its ascending order.
SCANS: dict[str, Key] = {
    "h": raster_key,
    "v": column_key,
    "snake": snake_key,
    "snake_v": snake_column_key,
    "w2": window_key(2),
    "w4": window_key(4),
    "w7": window_key(7),
    "diag": diagonal_key,
    "adiag": mirrored_diagonal_key,
    "spiral": spiral_key,
    "hilbert": hilbert_key,
    "atrous2": atrous_key(2),
}
# Patterns that start again wherever this number of a cell changes on the way.
SEGMENTS: dict[str, Key] = {"atrous2": atrous_phase(2)}


def scan_names() -> tuple[str, ...]:
    """Every pattern's name, each base order followed by its reverse."""
    return tuple(name + end for name in SCANS for end in ("", FLIP))


@lru_cache(maxsize=512)
def scan_order(name: str, height: int, width: int) -> np.ndarray:
    """Return `order[step]` = raster index visited at that step, int64 [height * width]; read-only.

    An order is the stable ascending argsort of an integer key, so it is a bijection on any grid.
    Raises `NasError` for an unknown name.
    """
    base = name.removesuffix(FLIP)
    if base not in SCANS:
        raise NasError(f"no scan pattern '{name}'", did_you_mean(name, scan_names()))
    order = np.argsort(SCANS[base](height, width).ravel(), kind="stable")
    return read_only(order[::-1].copy() if name.endswith(FLIP) else order)


@lru_cache(maxsize=512)
def scan_rank(name: str, height: int, width: int) -> np.ndarray:
    """Return `rank[raster index]` = step at which it is visited: the inverse of `scan_order`."""
    return read_only(np.argsort(scan_order(name, height, width), kind="stable"))


@lru_cache(maxsize=512)
def scan_starts(name: str, height: int, width: int) -> np.ndarray:
    """Return the ascending steps at which a segment begins, int64; the first is 0. The state is zero before each."""
    order, base = scan_order(name, height, width), name.removesuffix(FLIP)
    if base not in SEGMENTS:
        return read_only(np.zeros(1, dtype=np.int64))
    segment = SEGMENTS[base](height, width).ravel()[order]
    return read_only(np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]]))


def same_scan(a: str, b: str, height: int, width: int) -> bool:
    """Whether two patterns visit this grid in the same order with the same segments (w7 is h on 7 x 7)."""
    return all(
        np.array_equal(part(a, height, width), part(b, height, width)) for part in (scan_order, scan_starts)
    )  # fmt: skip


def read_only(array: np.ndarray) -> np.ndarray:
    """Refuse later writing to an array that a cache hands out."""
    array.setflags(write=False)
    return array
