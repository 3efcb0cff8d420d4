"""Partitions of a grid into chunks that several scan directions share.

Directions share a partition if each visits every chunk completely before the next, in whatever order of the chunks and
inside a chunk: row strips (h, snake), column strips (v, snake_v), and a pattern with its reverse. They share the Gram
matrix of each chunk and one mixing inside it; only the states from chunk to chunk are their own.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nas.nn.ssd.directions import constant
from nas.space.chunks import chunk_cells, chunk_size
from nas.space.scan import CHUNK_TOKENS, FLIP, scan_rank, scan_starts

LONGEST_STRIP = 2 * CHUNK_TOKENS


@dataclass(frozen=True, slots=True)
class Lane:
    """One direction of a partition: who scans along it, and how it runs through the chunks."""

    k: int  # among the directions of the call
    own: slice  # its heads, in the order of the call
    heads: slice  # its heads, in the order of the partition
    slot: int  # which of a head's states is its own
    upto: Tensor  # [1 or chunks, Q, Q]: 1 at (j, i) where token j is visited by i's turn
    steps: tuple[tuple[int, int], ...]  # (chunk, next chunk) without a new segment in between


@dataclass(frozen=True, slots=True)
class Mask:
    """One exponential inside the chunks, for a lane or for a pair of a lane and its reverse."""

    lanes: tuple[int, ...]  # among the lanes of the partition
    bias: Tensor | None  # [1 or chunks, Q, Q]: -inf where a token must not be seen; a pair sees all
    forward: Tensor | None  # of a pair, [1 or chunks, Q, Q]: 1 where the first of the two sees


@dataclass(frozen=True, slots=True)
class Partition:
    """Chunks of a grid and the directions that share them."""

    chunks: int
    size: int
    heads: slice  # of the plan's heads
    slots: int  # states per head
    cells: Tensor | None  # raster index of each place [chunks * Q]; None if each token stands at its own place
    back: Tensor | None  # place of each token [L]
    filled: Tensor | None  # places without a token; None if there are none
    lanes: tuple[Lane, ...]
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All partitions of a call; mode `group` sorts the heads by partition and direction."""

    grouped: bool
    partitions: tuple[Partition, ...]
    head_order: Tensor | None
    head_back: Tensor | None


@lru_cache(maxsize=256)
def make_plan(
    patterns: tuple[str, ...], grid: tuple[int, int], mode: str, heads: int, whole: bool, device: torch.device,
    dtype: torch.dtype,
) -> Plan:  # fmt: skip
    """Spread directions over as few partitions as possible; `whole` makes the grid one chunk."""
    tokens = grid[0] * grid[1]
    groups: list[tuple[np.ndarray, list[int]]] = [(np.arange(tokens)[None], [])] if whole else []
    for k, name in enumerate(patterns):
        for cells, members in groups:
            if whole or shares(name, grid, cells):
                members.append(k)
                break
        else:
            base = name.removesuffix(FLIP)
            groups.append((chunk_cells(base, *grid, strip_size(base, grid)), [k]))
    partitions: list[Partition] = []
    order: list[int] = []
    count = len(patterns)
    for cells, members in groups:
        start = len(order)
        order += [head for k in members for head in range(k, heads, count)] if mode == "group" else []
        block = slice(start, len(order)) if mode == "group" else slice(None)
        partitions.append(make_partition(cells, members, patterns, grid, mode, heads // count, block, device, dtype))
    if mode != "group" or order == sorted(order):
        return Plan(mode == "group", tuple(partitions), None, None)
    return Plan(True, tuple(partitions), constant(np.array(order), device), constant(np.argsort(order), device))


def strip_size(base: str, grid: tuple[int, int]) -> int:
    """Return the tokens of a chunk: whole rows or columns, or equal parts of one, where the pattern runs along them."""
    tokens = grid[0] * grid[1]
    side = {"h": grid[1], "snake": grid[1], "v": grid[0], "snake_v": grid[0]}.get(base)
    if side is None:
        return chunk_size(tokens)
    parts = [side // part for part in range(2, side + 1) if side % part == 0]
    sizes = parts + [side * rows for rows in range(1, max(1, LONGEST_STRIP // side) + 1)]
    best = min(sizes, key=lambda size: abs(math.log(size / chunk_size(tokens))))
    return best if CHUNK_TOKENS // 3 <= best <= LONGEST_STRIP else chunk_size(tokens)


def shares(name: str, grid: tuple[int, int], cells: np.ndarray) -> bool:
    """Whether a pattern visits every chunk without leaving it, and begins segments only between chunks."""
    rank, starts = scan_rank(name, *grid), scan_starts(name, *grid)
    for chunk in cells:
        steps = np.sort(rank[chunk[chunk < len(rank)]])
        begun = np.searchsorted(starts, steps[[0, -1]], side="right")
        if steps[-1] - steps[0] + 1 != len(steps) or begun[0] != begun[1]:
            return False
    return True


def make_partition(
    cells: np.ndarray, members: list[int], patterns: tuple[str, ...], grid: tuple[int, int], mode: str,
    heads_each: int, heads: slice, device: torch.device, dtype: torch.dtype,
) -> Partition:  # fmt: skip
    """Work out what each member does in the chunks `cells` [chunks, Q]."""
    tokens, grouped = grid[0] * grid[1], mode == "group"
    lanes = []
    for index, k in enumerate(members):
        own = slice(k, None, len(patterns)) if grouped else slice(None)
        block = slice(index * heads_each, (index + 1) * heads_each) if grouped else slice(None)
        upto = constant(sees(patterns[k], grid, cells).swapaxes(1, 2), device).to(dtype)
        lanes.append(Lane(k, own, block, 0 if grouped else index, upto, chunk_steps(patterns[k], grid, cells)))
    names = [patterns[k] for k in members]
    pairs = [(index,) for index in range(len(names))] if grouped else pair_up(names)
    masks = [make_mask(pair, names[pair[0]], grid, cells, device, dtype) for pair in pairs]
    flat = cells.ravel()
    own_place = np.array_equal(flat, np.arange(tokens))
    empty = np.flatnonzero(flat == tokens)
    return Partition(
        chunks=len(cells),
        size=cells.shape[1],
        heads=heads,
        slots=1 if grouped else len(lanes),
        cells=None if own_place else constant(np.minimum(flat, tokens - 1), device),
        back=None if own_place else constant(np.argsort(flat, kind="stable")[:tokens], device),
        filled=constant(empty, device) if len(empty) else None,
        lanes=tuple(lanes),
        masks=tuple(masks),
    )


def pair_up(names: list[str]) -> list[tuple[int, ...]]:
    """Put each name's index beside that of its reverse, if there is one."""
    pairs: list[tuple[int, ...]] = []
    left = list(range(len(names)))
    while left:
        first = left.pop(0)
        reverse = names[first].removesuffix(FLIP) if names[first].endswith(FLIP) else names[first] + FLIP
        mate = next((index for index in left if names[index] == reverse), None)
        pairs.append((first,) if mate is None else (first, mate))
        if mate is not None:
            left.remove(mate)
    return pairs


def places(name: str, grid: tuple[int, int], cells: np.ndarray) -> np.ndarray:
    """Return when each place of the chunks is visited; places without a token come last, in a reverse first."""
    tokens = grid[0] * grid[1]
    steps = np.r_[scan_rank(name, *grid), 0][cells]
    empty = np.broadcast_to(np.arange(cells.shape[1]), cells.shape)
    return np.where(cells < tokens, steps, -1 - empty if name.endswith(FLIP) else tokens + empty)


def sees(name: str, grid: tuple[int, int], cells: np.ndarray) -> np.ndarray:
    """Whether place j is visited before i, or is i: bool [chunks, Q, Q] at (i, j), [1, Q, Q] if alike in all chunks."""
    steps = places(name, grid, cells)
    before = steps[:, None, :] <= steps[:, :, None]
    return before[:1] if (before == before[:1]).all() else before


def make_mask(
    lanes: tuple[int, ...], name: str, grid: tuple[int, int], cells: np.ndarray, device: torch.device,
    dtype: torch.dtype,
) -> Mask:  # fmt: skip
    """Make the mask of a pattern, or of it and its reverse if there are two lanes."""
    before, pair = sees(name, grid, cells), len(lanes) == 2
    segment = np.searchsorted(scan_starts(name, *grid), places(name, grid, cells), side="right")
    together = segment[:, :, None] == segment[:, None, :]
    apart = len(cells) == 1 and not together.all()  # else every chunk lies inside one segment
    seen = together if pair else before
    seen = seen & together if apart else seen
    bias = constant(np.where(seen, 0.0, -math.inf), device).to(dtype) if apart or not pair else None
    return Mask(lanes, bias, constant(before, device).to(dtype) if pair else None)


def chunk_steps(name: str, grid: tuple[int, int], cells: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return the pairs of chunks between which the state passes, in the order of the scan."""
    tokens, starts = grid[0] * grid[1], set(scan_starts(name, *grid).tolist())
    first = np.where(cells < tokens, places(name, grid, cells), tokens).min(1)
    order = np.argsort(first, kind="stable").tolist()
    return tuple((a, b) for a, b in itertools.pairwise(order) if first[b] not in starts)
