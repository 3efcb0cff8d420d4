"""Which form is the cheapest: one table of measured break-evens (`benchmarks/mixers.py --break-evens`)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from nas.space.scan import QUADRATIC_MAX_TOKENS

DEPLOYED = ((QUADRATIC_MAX_TOKENS, "quadratic"), (math.inf, "chunked"))
# Up to how many tokens a form is the cheapest, by device and what is wanted. A deployed network needs no gradients and
# plain operations that every exporter knows.
BREAK_EVENS: dict[str, dict[str, tuple[tuple[float, str], ...]]] = {
    "cpu": {
        "inference": DEPLOYED,
        "one direction": ((QUADRATIC_MAX_TOKENS, "quadratic"), (256, "chunked"), (math.inf, "fused")),
        "a direction per head": ((QUADRATIC_MAX_TOKENS, "quadratic"), (2048, "chunked"), (math.inf, "fused")),
        "several directions": ((math.inf, "fused"),),
    },
}
# Up to how many tokens form `fused` treats the whole grid as one chunk.
ONE_CHUNK_TOKENS = {"cpu": 110}


def choose_form(x: Tensor, others: Iterable[Tensor], count: int, mode: str) -> str:
    """Return the form for x [b, L, H, P] and `count` directions. A device that was not measured counts as a CPU."""
    gradients = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *others))
    if not gradients or torch.jit.is_tracing() or torch.compiler.is_compiling():
        wanted = "inference"
    else:
        wanted = "a direction per head" if mode == "group" else "several directions" if count > 1 else "one direction"
    table = BREAK_EVENS.get(x.device.type, BREAK_EVENS["cpu"])[wanted]
    return next(form for most, form in table if x.shape[1] <= most)


def one_chunk(device: str, tokens: int) -> bool:
    """Whether form `fused` takes all pairs of tokens at once on this device."""
    return tokens <= ONE_CHUNK_TOKENS.get(device, ONE_CHUNK_TOKENS["cpu"])
