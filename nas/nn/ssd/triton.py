"""The scan on a GPU through fla-core's Triton kernel (MIT); optional, and never chosen by `auto`: not measured yet."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from nas.errors import NasError
from nas.nn.ssd.directions import Directions, order_tensors, segment_bounds
from nas.nn.ssd.sequential import merge


def triton_available() -> bool:
    """Whether fla-core is installed and a CUDA device is there."""
    return importlib.util.find_spec("fla") is not None and torch.cuda.is_available()


def mix_triton(scaled: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, directions: Directions) -> Tensor:
    """Scan along each direction by `chunk_simple_gla`. Shapes as in `nas.nn.ssd.interface`; N and P >= 16.

    Raises `NasError` where there is no CUDA tensor or no fla-core.
    """
    if not scaled.is_cuda or not triton_available():
        raise NasError("form triton needs a CUDA tensor and fla-core", "Use form auto, or: pip install fla-core==0.6.0")
    parts = []
    for k, pattern in enumerate(directions.patterns):
        order, rank = order_tensors(pattern, directions.grid, scaled.device)
        heads, decay = directions.heads(k), directions.decay(log_decay, k)
        inputs = scaled[:, order][:, :, heads], decay[:, order], B[:, order], C[:, order]
        segments = [
            scan_triton(*(tensor[:, start:stop] for tensor in inputs))
            for start, stop in segment_bounds(pattern, directions.grid)
        ]
        parts.append(torch.cat(segments, 1)[:, rank])
    return merge(parts, directions)


def scan_triton(scaled: Tensor, decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Run the recurrence as gated linear attention with one decay per head: q = C, k = B, v = dt x, g = dt A."""
    from fla.ops.simple_gla import chunk_simple_gla

    heads = scaled.shape[2]
    queries, keys = (shared[:, :, None].expand(-1, -1, heads, -1).contiguous() for shared in (C, B))
    y, _ = chunk_simple_gla(queries, keys, scaled.contiguous(), decay.contiguous(), scale=1.0)
    return y
