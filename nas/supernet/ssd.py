"""The state-space mixing itself (SSD, Dao & Gu 2024, arXiv 2405.21060), over any set of scan directions.

Shapes: batch b, tokens L in raster order, heads H, head width P, state size N, directions K.
Recurrence along a direction: `h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T`, `y_t = h_t C_t`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.errors import NasError, did_you_mean
from nas.space.scan import CHUNK_TOKENS, QUADRATIC_MAX_TOKENS, scan_order, scan_rank


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    *,
    patterns: Sequence[str],
    grid: tuple[int, int],
    mode: str = "sum",
    form: str = "auto",
    log_scale: Tensor | None = None,
    log_weight: Tensor | None = None,
) -> Tensor:
    """Mix tokens along the scan directions `patterns` of a `grid` = (height, width).

    Shapes: x [b, L, H, P]; dt [b, L, H] > 0 (after softplus); A [H] < 0; B and C [b, L, N]; result [b, L, H, P].
    Mode `sum` averages over the directions, or weighs them by exp(`log_weight`) [K, H]; mode `group` gives head h
    the direction `patterns[h % K]`. `log_scale` [K, H] multiplies A by its exponential, per direction.
    Form `sequential` is the oracle, `quadratic` costs L^2, `chunked` is linear in L, `auto` takes the cheaper.
    Decays are computed in at least float32. Raises `NasError` for an unknown form or heads that K does not divide.
    """
    tokens, heads = x.shape[1], x.shape[2]
    if mode == "group" and heads % len(patterns):
        raise NasError(f"{heads} heads do not divide into {len(patterns)} direction groups", "Use mode sum")
    if form == "auto":
        form = "quadratic" if tokens <= QUADRATIC_MAX_TOKENS else "chunked"
    if form not in FORMS:
        raise NasError(f"no ssd form '{form}'", did_you_mean(form, [*FORMS, "auto"]))
    wide = torch.promote_types(dt.dtype, torch.float32)  # autocast lowers matrix products only, so decays stay wide
    log_decay = dt.to(wide) * A.to(wide)
    scaled = x * dt.to(x.dtype)[..., None]
    count = len(patterns)
    decays = [log_decay if log_scale is None else log_decay * log_scale[k].exp() for k in range(count)]
    if mode == "group":
        weights = [(torch.arange(heads, device=x.device) % count == k).to(wide) for k in range(count)]
    elif log_weight is None:
        weights = [torch.full((heads,), 1 / count, dtype=wide, device=x.device)] * count
    else:
        weights = list(log_weight.to(wide).exp())
    return FORMS[form](scaled, decays, B, C, list(patterns), grid, weights, mode)


@lru_cache(maxsize=256)
def order_tensors(pattern: str, grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Give a pattern's order [L] and rank [L], as in nas.space.scan."""
    with torch.inference_mode(False):  # the cache outlives the caller's mode: training may use it next
        order = torch.from_numpy(scan_order(pattern, *grid).copy()).to(device)
        rank = torch.from_numpy(scan_rank(pattern, *grid).copy()).to(device)
    return order, rank


@lru_cache(maxsize=256)
def causal_bias(pattern: str, grid: tuple[int, int], device: torch.device) -> Tensor:
    """Give [L, L]: 0 where token j has been visited by i's turn, else -inf."""
    _, rank = order_tensors(pattern, grid, device)
    with torch.inference_mode(False):
        return torch.zeros(len(rank), len(rank), device=device).masked_fill(rank[:, None] < rank[None, :], -math.inf)


def mix_quadratic(
    scaled: Tensor,
    decays: list[Tensor],
    B: Tensor,
    C: Tensor,
    patterns: list[str],
    grid: tuple[int, int],
    weights: list[Tensor],
    mode: str,
) -> Tensor:
    """Mix all pairs of tokens at once: `Y = (C B^T * sum_k w_k M_k) X`, one Gram matrix for all directions.

    Tokens stay in raster order; only the cumulative decays [b, H, L] are permuted. The -inf is added before the
    exponential, so that neither value nor gradient overflows.
    """
    heads, count = scaled.shape[2], len(patterns)
    masks = []
    for k, pattern in enumerate(patterns):
        order, rank = order_tensors(pattern, grid, scaled.device)
        decay = decays[k][..., k::count] if mode == "group" else decays[k]
        total = decay[:, order].cumsum(1)[:, rank].transpose(1, 2)
        mask = torch.exp(total[..., :, None] - total[..., None, :] + causal_bias(pattern, grid, scaled.device))
        masks.append(mask if mode == "group" else mask * weights[k][:, None, None])
    if mode == "group":  # head h of the result is head h // K of direction h % K
        mask = torch.stack(masks, 2).flatten(1, 2) if count > 1 else masks[0]
    else:
        mask = torch.stack(masks).sum(0) if count > 1 else masks[0]
    assert mask.shape[1] == heads
    gram = C @ B.transpose(1, 2)
    mixed = (gram[:, None] * mask.to(gram.dtype)) @ scaled.transpose(1, 2)
    return mixed.transpose(1, 2)


def along_each_direction(scan: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Make a mixer over several directions of a scan over one sequence: permute, scan, permute back, merge."""

    def mix(
        scaled: Tensor,
        decays: list[Tensor],
        B: Tensor,
        C: Tensor,
        patterns: list[str],
        grid: tuple[int, int],
        weights: list[Tensor],
        mode: str,
    ) -> Tensor:
        count = len(patterns)
        parts = []
        for k, pattern in enumerate(patterns):
            order, rank = order_tensors(pattern, grid, scaled.device)
            heads = slice(k, None, count) if mode == "group" else slice(None)
            part = scan(scaled[:, order][:, :, heads], decays[k][:, order][..., heads], B[:, order], C[:, order])
            parts.append(part[:, rank] if mode == "group" else part[:, rank] * weights[k][:, None].to(part.dtype))
        if mode == "group":
            return torch.stack(parts, 3).flatten(2, 3)
        return torch.stack(parts).sum(0)

    return mix


def scan_sequential(scaled: Tensor, decay: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Run the recurrence token by token: the oracle. scaled [b, L, H, P], decay [b, L, H], B and C [b, L, N]."""
    batch, tokens, heads, head_dim = scaled.shape
    state = scaled.new_zeros(batch, heads, head_dim, B.shape[-1])
    outputs = []
    for t in range(tokens):
        inflow = scaled[:, t, :, :, None] * B[:, t, None, None, :]
        state = decay[:, t, :, None, None].exp() * state + inflow
        outputs.append((state * C[:, t, None, None, :]).sum(-1))
    return torch.stack(outputs, 1)


def scan_chunked(scaled: Tensor, decay: Tensor, B: Tensor, C: Tensor, chunk: int = CHUNK_TOKENS) -> Tensor:
    """Run the recurrence chunk by chunk: pairs inside a chunk, one state from chunk to chunk; linear in L.

    Shapes as in `scan_sequential`. The end is padded with tokens of decay 1 and no input (Mamba-2, section 6).
    """
    tokens, heads = scaled.shape[1], scaled.shape[2]
    padding = -tokens % chunk
    if padding:
        scaled, decay = F.pad(scaled, (0, 0, 0, 0, 0, padding)), F.pad(decay, (0, 0, 0, padding))
        B, C = F.pad(B, (0, 0, 0, padding)), F.pad(C, (0, 0, 0, padding))
    x = scaled.unflatten(1, (-1, chunk)).transpose(2, 3)  # [b, chunks, H, Q, P]
    total = decay.unflatten(1, (-1, chunk)).transpose(2, 3).cumsum(-1)  # [b, chunks, H, Q]
    b, c = B.unflatten(1, (-1, chunk)), C.unflatten(1, (-1, chunk))  # [b, chunks, Q, N]

    causal = torch.zeros(chunk, chunk, device=x.device).masked_fill(
        torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1), -math.inf
    )
    mask = torch.exp(total[..., :, None] - total[..., None, :] + causal).to(x.dtype)
    inside = ((c @ b.transpose(-1, -2))[:, :, None] * mask) @ x

    to_end = torch.exp(total[..., -1:] - total)[..., None].to(x.dtype)
    inflow = b.transpose(-1, -2)[:, :, None] @ (x * to_end)  # [b, chunks, H, N, P]
    carry = total[..., -1].exp()[..., None, None].to(x.dtype)
    state = torch.zeros_like(inflow[:, 0])
    before = []
    for index in range(x.shape[1]):
        before.append(state)
        state = carry[:, index] * state + inflow[:, index]
    across = (c[:, :, None] @ torch.stack(before, 1)) * total.exp()[..., None].to(x.dtype)
    return (inside + across).transpose(2, 3).flatten(1, 2)[:, :tokens].reshape(*scaled.shape[:1], tokens, heads, -1)


FORMS: dict[str, Callable[..., Tensor]] = {
    "sequential": along_each_direction(scan_sequential),
    "quadratic": mix_quadratic,
    "chunked": along_each_direction(scan_chunked),
}
