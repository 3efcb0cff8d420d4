"""Chunk by chunk, in plain torch operations: pairs inside a chunk, one state from chunk to chunk; linear in L."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nas.nn.ssd.directions import Directions, constant
from nas.nn.ssd.sequential import merge
from nas.space.chunks import chunk_cells, chunk_size, chunk_starts

BLOCK_ELEMENTS = 1 << 21  # of a mask [images, K, chunks, H, Q, Q]: larger tensors cost page faults when training


def mix_chunked(scaled: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, directions: Directions) -> Tensor:
    """Scan along each direction in chunks. Shapes as in `nas.nn.ssd.interface`.

    In mode `group` the directions are scanned in one go, as if they were more images with fewer heads each. Training
    on a CPU treats as many images at a time as keep the cost linear in the tokens (measured up to 3136).
    """
    if scaled.device.type != "cpu" or not torch.is_grad_enabled() or torch.jit.is_tracing():
        return mix_images(scaled, log_decay, B, C, directions)
    mask = scaled.shape[1] * scaled.shape[2] * chunk_size(scaled.shape[1])
    images = max(1, BLOCK_ELEMENTS // mask)
    split = [tensor.split(images) for tensor in (scaled, log_decay, B, C)]
    return torch.cat([mix_images(x, a, b, c, directions) for x, a, b, c in zip(*split, strict=True)])


def mix_images(scaled: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, directions: Directions) -> Tensor:
    """Scan images together."""
    count = len(directions.patterns)
    if directions.mode == "sum":
        parts = []
        for k, pattern in enumerate(directions.patterns):
            decay = directions.decay(log_decay, k)
            parts.append(scan_together(scaled[:, None], decay[:, None], B, C, (pattern,), directions.grid)[:, 0])
        return merge(parts, directions)
    decay = torch.stack([directions.decay(log_decay, k) for k in range(count)], 1)  # [b, K, L, H / K]
    groups = scaled.unflatten(2, (-1, count)).permute(0, 3, 1, 2, 4)  # [b, K, L, H / K, P]
    y = scan_together(groups, decay, B, C, directions.patterns, directions.grid)
    return y.permute(0, 2, 3, 1, 4).flatten(2, 3)


def scan_together(
    x: Tensor, decay: Tensor, B: Tensor, C: Tensor, patterns: tuple[str, ...], grid: tuple[int, int]
) -> Tensor:
    """Scan x [b, K, L, H, P] and decay [b, K, L, H], of which each k has a pattern; B and C [b, L, N] are shared."""
    layout = chunk_layout(patterns, grid, x.device)
    chunked = (len(patterns), layout.chunks, layout.size)
    if layout.padded:
        x, decay = (torch.cat([tensor, torch.zeros_like(tensor[:, :, :1])], 2) for tensor in (x, decay))
    x = x.flatten(1, 2).index_select(1, layout.cells).unflatten(1, chunked).transpose(3, 4)  # [b, K, chunks, H, Q, P]
    decay = decay.flatten(1, 2).index_select(1, layout.cells).unflatten(1, chunked).transpose(3, 4)
    B = B.index_select(1, layout.tokens).unflatten(1, chunked)  # [b, K, chunks, Q, N]
    C = C.index_select(1, layout.tokens).unflatten(1, chunked)
    y = scan_chunks(x, decay, B, C, layout.keep)
    return y.transpose(3, 4).flatten(1, 3).index_select(1, layout.back).unflatten(1, (len(patterns), -1))


def scan_chunks(x: Tensor, decay: Tensor, B: Tensor, C: Tensor, keep: Tensor | None) -> Tensor:
    """Scan x [b, K, chunks, H, Q, P], decay [b, K, chunks, H, Q], B and C [b, K, chunks, Q, N] along the chunks.

    `keep` [K, chunks] is 0 where a chunk begins a segment and 1 elsewhere; None stands for one segment
    (Mamba-2, section 6). A token of decay 1 and no input changes nothing: padding.
    """
    total, size = decay.cumsum(-1), decay.shape[-1]
    causal = torch.full((size, size), -math.inf, dtype=decay.dtype, device=x.device).triu(1)
    mask = torch.exp(total[..., :, None] - total[..., None, :] + causal)
    gram = C @ B.transpose(-1, -2)
    y = (gram[:, :, :, None] * mask.to(gram.dtype)) @ x
    if x.shape[2] == 1:
        return y
    to_end = torch.exp(total[..., -1:] - total)[..., None].to(x.dtype)
    inflow = B.transpose(-1, -2)[:, :, :, None] @ (x * to_end)  # [b, K, chunks, H, N, P]
    carry = total[..., -1].exp()[..., None, None].to(inflow.dtype)
    state = torch.zeros_like(inflow[:, :, 0])
    before = [state]
    for index in range(x.shape[2] - 1):
        state = carry[:, :, index] * state + inflow[:, :, index]
        if keep is not None:
            state = state * keep[:, index + 1, None, None, None].to(state.dtype)
        before.append(state)
    across = C[:, :, :, None] @ torch.stack(before, 2)
    return y + across * total.exp()[..., None].to(across.dtype)


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """Where the tokens of K scans stand among their chunks."""

    chunks: int
    size: int
    padded: bool
    cells: Tensor  # [K * chunks * Q] into [K * (L + padded)]
    tokens: Tensor  # the same into [L], any token where there is none
    back: Tensor  # [K * L] into [K * chunks * Q]
    keep: Tensor | None  # [K, chunks]


@lru_cache(maxsize=256)
def chunk_layout(patterns: tuple[str, ...], grid: tuple[int, int], device: torch.device) -> ChunkLayout:
    """Lay out several scans in equally many chunks."""
    tokens = grid[0] * grid[1]
    size = chunk_size(tokens)
    scans = [chunk_cells(name, *grid, size) for name in patterns]
    chunks = max(map(len, scans))
    cells = np.stack([np.pad(scan, ((0, chunks - len(scan)), (0, 0)), constant_values=tokens) for scan in scans])
    starts = [chunk_starts(name, *grid, size) for name in patterns]
    keep = np.stack([np.pad(~begins, (0, chunks - len(begins))) for begins in starts]).astype(np.float32)
    flat = cells.reshape(len(patterns), -1)
    back = np.stack([np.argsort(scan, kind="stable")[:tokens] for scan in flat])
    padded = bool((flat == tokens).any())
    offset = np.arange(len(patterns))[:, None]
    return ChunkLayout(
        chunks=chunks,
        size=size,
        padded=padded,
        cells=constant((flat + offset * (tokens + padded)).ravel(), device),
        tokens=constant(np.minimum(flat, tokens - 1).ravel(), device),
        back=constant((back + offset * flat.shape[1]).ravel(), device),
        keep=constant(keep, device) if any(begins.sum() > 1 for begins in starts) else None,
    )
