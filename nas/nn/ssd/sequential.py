"""The recurrence as it is written, token by token: the oracle of every other form."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.nn.ssd.directions import Directions, order_tensors, segment_bounds


def mix_sequential(scaled: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, directions: Directions) -> Tensor:
    """Scan along each direction token by token, and merge. Shapes as in `nas.nn.ssd.interface`."""
    parts = []
    for k, pattern in enumerate(directions.patterns):
        order, rank = order_tensors(pattern, directions.grid, scaled.device)
        heads, decay = directions.heads(k), directions.decay(log_decay, k)
        inputs = scaled[:, order][:, :, heads], decay[:, order], B[:, order], C[:, order]
        segments = [
            scan_sequential(*(tensor[:, start:stop] for tensor in inputs))
            for start, stop in segment_bounds(pattern, directions.grid)
        ]
        parts.append(torch.cat(segments, 1)[:, rank])
    return merge(parts, directions)


def scan_sequential(scaled: Tensor, decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Run the recurrence from a zero state. scaled [b, L, H, P], decay [b, L, H], B and C [b, L, N]."""
    batch, tokens, heads, head_dim = scaled.shape
    state = scaled.new_zeros(batch, heads, head_dim, B.shape[-1])
    outputs = []
    for t in range(tokens):
        inflow = scaled[:, t, :, :, None] * B[:, t, None, None, :]
        state = decay[:, t, :, None, None].exp() * state + inflow
        outputs.append((state * C[:, t, None, None, :]).sum(-1))
    return torch.stack(outputs, 1)


def merge(parts: list[Tensor], directions: Directions) -> Tensor:
    """Merge the results of the directions, [b, L, heads of one, P] in raster order, into [b, L, H, P]."""
    if directions.mode == "group":
        return torch.stack(parts, 3).flatten(2, 3) if len(parts) > 1 else parts[0]
    if directions.weight is not None:
        parts = [part * directions.weight[k][:, None].to(part.dtype) for k, part in enumerate(parts)]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
