"""Directions together: partitions of the grid shared by several, nothing but the inputs saved for backward.

The work is done for a few images at a time, so that what lies between the operations stays in the processor's cache;
backward computes it again. Against a loop over directions this saves Gram matrices, exponentials and memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nas.nn.ssd.chunk_mixing import Inputs, mix_chunks, mix_chunks_backward
from nas.nn.ssd.directions import Directions
from nas.nn.ssd.dispatch import one_chunk
from nas.nn.ssd.partition import Partition, Plan, make_plan

BLOCK_ELEMENTS = 1 << 18  # of a mask [images, H, chunks, Q, Q] per thread: 1 MiB in float32
FEWEST_IMAGES = 4  # below that the number of operations counts, not the work in them


def mix_fused(scaled: Tensor, log_decay: Tensor, B: Tensor, C: Tensor, directions: Directions) -> Tensor:
    """Mix along all directions. Shapes as in `nas.nn.ssd.interface`; first derivatives only."""
    heads, wide = scaled.shape[2], log_decay.dtype
    patterns, device = directions.patterns, scaled.device
    whole = one_chunk(device.type, scaled.shape[1])
    plan = make_plan(patterns, directions.grid, directions.mode, heads, whole, device, wide)
    ones = torch.ones(len(patterns), heads, dtype=wide, device=device)
    scale = ones if directions.scale is None else directions.scale
    autocast = torch.is_autocast_enabled(device.type)
    low = torch.get_autocast_dtype(device.type) if autocast else scaled.dtype
    inputs = scaled, log_decay, B, C, scale, directions.weight
    y = FusedMixing.apply(*inputs, plan, low)
    assert isinstance(y, Tensor)
    return y


class FusedMixing(torch.autograd.Function):
    """`mix_blocks` and its derivative, which saves nothing but the inputs."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        """Mix; the last two inputs are the plan and the type of matrix products."""
        *tensors, plan, low = inputs
        ctx.save_for_backward(*tensors)
        ctx.plan, ctx.low = plan, low
        with torch.autocast(tensors[0].device.type, enabled=False):
            return mix_blocks(tensors, plan, low)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, log decay, B, C, scale and weight."""
        with torch.autocast(grad.device.type, enabled=False):
            return (*mix_blocks_backward(grad, ctx.saved_tensors, ctx.plan, ctx.low), None, None)


def mix_blocks(tensors: Any, plan: Plan, low: torch.dtype) -> Tensor:
    """Mix x [b, L, H, P], a [b, L, H], B and C [b, L, N] with scale [K, H] and weight [K, H] or None."""
    y = torch.empty_like(tensors[0])
    for images in blocks(tensors[0], plan):
        block = RasterBlock(*tensors, images=images, plan=plan)
        parts = [scatter(mix_chunks(block.gather(part), part, low), part, 2) for part in plan.partitions]
        y[images] = to_tokens(merge(parts, plan), plan)
    return y


def mix_blocks_backward(grad: Tensor, tensors: Any, plan: Plan, low: torch.dtype) -> tuple[Tensor | None, ...]:
    """Return the gradients of the six inputs of `mix_blocks`."""
    *always, weight = tensors
    dx, da, db, dc, dscale = (torch.zeros_like(tensor) for tensor in always)
    dweight = None if weight is None else torch.zeros_like(weight)
    for images in blocks(tensors[0], plan):
        block = RasterBlock(*tensors, images=images, plan=plan)
        dy = to_heads(grad[images], plan).to(block.a.dtype)
        of_x, of_a = [], []
        for part in plan.partitions:
            grads = mix_chunks_backward(gather(dy[:, part.heads], part, 2), block.gather(part), part, low)
            of_x.append(scatter(grads.x, part, 2))
            of_a.append(scatter(grads.a, part, 2))
            db[images] += scatter(grads.b, part, 1)
            dc[images] += scatter(grads.c, part, 1)
            for lane in part.lanes:
                dscale[lane.k, lane.own] += grads.scale[lane.heads, lane.slot]
                if dweight is not None and grads.weight is not None:
                    dweight[lane.k, lane.own] += grads.weight[lane.heads, lane.slot]
        dx[images] = to_tokens(merge(of_x, plan), plan)
        da[images] = to_tokens(merge(of_a, plan), plan)
    return dx, da, db, dc, dscale, dweight


def blocks(x: Tensor, plan: Plan) -> Iterator[slice]:
    """Yield the images to treat together: few at a time on a CPU, all at once on another device."""
    images = len(x)
    if x.device.type == "cpu":
        part = plan.partitions[0]
        mask = x.shape[2] * part.chunks * part.size**2
        images = max(FEWEST_IMAGES, BLOCK_ELEMENTS * torch.get_num_threads() // mask)
    for start in range(0, len(x), images):
        yield slice(start, start + images)


class RasterBlock:
    """The inputs of a few images, head by head."""

    def __init__(
        self, x: Tensor, a: Tensor, b: Tensor, c: Tensor, scale: Tensor, weight: Tensor | None, *, images: slice,
        plan: Plan,
    ) -> None:  # fmt: skip
        self.x, self.a = to_heads(x[images], plan).to(a.dtype), to_heads(a[images], plan)
        self.b, self.c = b[images].to(a.dtype), c[images].to(a.dtype)
        self.scale, self.weight = scale, weight

    def gather(self, part: Partition) -> Inputs:
        """Put the tokens into the chunks of a partition."""
        return Inputs(
            x=gather(self.x[:, part.heads], part, 2),
            a=gather(self.a[:, part.heads], part, 2),
            b=gather(self.b, part, 1),
            c=gather(self.c, part, 1),
            scale=per_slot(self.scale, part),
            weight=None if self.weight is None else per_slot(self.weight, part),
        )


def to_heads(tokens: Tensor, plan: Plan) -> Tensor:
    """Turn [b, L, H, ...] into [b, H, L, ...], heads in the plan's order."""
    heads = tokens.transpose(1, 2)
    return heads.contiguous() if plan.head_order is None else heads.index_select(1, plan.head_order)


def to_tokens(heads: Tensor, plan: Plan) -> Tensor:
    """Undo `to_heads`."""
    return (heads if plan.head_back is None else heads.index_select(1, plan.head_back)).transpose(1, 2)


def gather(tokens: Tensor, part: Partition, dim: int) -> Tensor:
    """Put the tokens of dimension `dim` into chunks [.., n, Q, ..]; a place without a token holds zeros."""
    if part.cells is not None:
        tokens = tokens.index_select(dim, part.cells)
        if part.filled is not None:
            tokens.index_fill_(dim, part.filled, 0.0)
    return tokens.unflatten(dim, (part.chunks, part.size))


def scatter(chunks: Tensor, part: Partition, dim: int) -> Tensor:
    """Undo `gather`."""
    places = chunks.flatten(dim, dim + 1)
    return places if part.back is None else places.index_select(dim, part.back)


def merge(parts: list[Tensor], plan: Plan) -> Tensor:
    """Put the heads of the partitions side by side, or add their outputs for the same heads."""
    if plan.grouped:
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def per_slot(table: Tensor, part: Partition) -> Tensor:
    """Return a table [K, H] as [heads of the partition, states per head]."""
    rows = [table[lane.k, lane.own] for lane in part.lanes]
    return torch.stack(rows, 1) if part.slots == len(rows) else torch.cat(rows)[:, None]
