"""`ssd`: mix the tokens of a grid along several scan directions, by whichever form is asked for or cheapest.

Shapes: batch b, tokens L in raster order, heads H, head width P, state size N, directions K.
Recurrence along a direction: `h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T`, `y_t = h_t C_t`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nas.errors import NasError, did_you_mean
from nas.nn.ssd.chunked import mix_chunked
from nas.nn.ssd.directions import Directions
from nas.nn.ssd.dispatch import choose_form
from nas.nn.ssd.fused import mix_fused
from nas.nn.ssd.quadratic import mix_quadratic
from nas.nn.ssd.sequential import mix_sequential
from nas.nn.ssd.triton import mix_triton
from nas.space.merge_mode import effective_mode

# A form maps (inputs x dt [b, L, H, P], log decay dt A [b, L, H], B, C, directions) to [b, L, H, P].
FORMS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Directions], Tensor]] = {
    "sequential": mix_sequential,
    "quadratic": mix_quadratic,
    "chunked": mix_chunked,
    "fused": mix_fused,
    "triton": mix_triton,
}


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
    the direction `patterns[h % K]`, weighed too. `log_scale` [K, H] multiplies A by its exponential, per direction.
    Form `sequential` is the oracle, `quadratic` costs L^2, `chunked` is linear in L, `fused` shares work among the
    directions and saves only its inputs for backward, `triton` needs CUDA and fla-core, `auto` takes the cheapest.
    Decays are computed in at least float32. Raises `NasError` for an unknown form or heads that K does not divide.
    """
    heads, count = x.shape[2], len(patterns)
    merged = effective_mode({"directions": tuple(patterns), "mode": mode})
    if merged == "group" and heads % count:
        raise NasError(f"{heads} heads do not divide into {count} direction groups", "Use mode sum")
    if form == "auto":
        form = choose_form(x, (dt, A, B, C), count, merged)
    if form not in FORMS:
        raise NasError(f"no ssd form '{form}'", did_you_mean(form, [*FORMS, "auto"]))
    wide = torch.promote_types(dt.dtype, torch.float32)  # autocast lowers matrix products only, so decays stay wide
    dt, scale = dt.to(wide), None if log_scale is None else log_scale.to(wide).exp()
    step, weight = dt, None
    if log_weight is not None:
        weight = log_weight.to(wide).exp()
    if mode == "group" and weight is not None:
        head = torch.arange(heads, device=x.device)
        step, weight = dt * weight[head % count, head], None
    elif mode == "sum" and weight is None and count > 1:
        step = dt / count
    directions = Directions(tuple(patterns), grid, merged, scale, weight)
    return FORMS[form](x * step.to(x.dtype)[..., None], dt * A.to(wide), B, C, directions)
