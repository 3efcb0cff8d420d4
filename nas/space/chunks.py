"""Chunks of a scan: runs of consecutive steps that a linear-time mixer treats at once, as pure numpy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nas.space.scan import CHUNK_TOKENS, read_only, scan_order, scan_starts


def chunk_size(tokens: int) -> int:
    """Return the tokens of a chunk: equal chunks of at most CHUNK_TOKENS, as few as possible (28 for 196 tokens)."""
    chunks = -(-tokens // CHUNK_TOKENS)
    return -(-tokens // chunks)


@lru_cache(maxsize=512)
def chunk_cells(name: str, height: int, width: int, size: int) -> np.ndarray:
    """Return the raster indices of a pattern's chunks in the order of the scan, int64 [chunks, size]; read-only.

    A segment begins a chunk, and what lacks at its end is filled with the index `height * width` (no token).
    """
    order, starts = scan_order(name, height, width), scan_starts(name, height, width)
    chunks = []
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        padding = -(stop - start) % size
        padded = np.pad(order[start:stop], (0, padding), constant_values=len(order))
        chunks.append(padded.reshape(-1, size))
    return read_only(np.concatenate(chunks))


@lru_cache(maxsize=512)
def chunk_starts(name: str, height: int, width: int, size: int) -> np.ndarray:
    """Return whether each chunk of `chunk_cells` begins a segment, bool [chunks]; read-only."""
    starts = scan_starts(name, height, width)
    lengths = np.diff(np.r_[starts, height * width])
    first = np.cumsum(np.r_[0, -(-lengths // size)])
    return read_only(np.isin(np.arange(first[-1]), first[:-1]))


def chunk_count(names: tuple[str, ...], height: int, width: int) -> int:
    """Return the chunks of the longest of several patterns, at `chunk_size`: only segments make them differ."""
    size = chunk_size(height * width)
    return max(len(chunk_cells(name, height, width, size)) for name in names)
