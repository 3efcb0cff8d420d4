"""The one rule of weight sharing: a smaller layer is a slice of a larger one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call


def take_slice(shared: Tensor, shape: torch.Size) -> Tensor:
    """Give the part of `shared` that a layer of `shape` uses, as a view through which gradients flow.

    The first entries along channel axes; the centre along the two kernel axes of a convolution [out, in, k, k]
    (Cai et al. 2020, Once for All).
    """
    if shared.shape == shape:
        return shared
    for axis, (have, want) in enumerate(zip(shared.shape, shape, strict=True)):
        is_kernel = len(shape) == 4 and axis >= 2
        shared = shared.narrow(axis, (have - want) // 2 if is_kernel else 0, want)
    return shared


def sliced_state(shared: nn.Module, skeleton: nn.Module) -> dict[str, Tensor]:
    """Give a value from `shared` for every parameter and buffer of `skeleton`, by name."""
    source = {**dict(shared.named_parameters()), **dict(shared.named_buffers())}
    wanted = {**dict(skeleton.named_parameters()), **dict(skeleton.named_buffers())}
    return {name: take_slice(source[name], tensor.shape) for name, tensor in wanted.items()}


def run_sliced(shared: nn.Module, skeleton: nn.Module, x: Tensor, override: Mapping[str, Tensor]) -> Tensor:
    """Run `skeleton` with its weights sliced from `shared`; `override` replaces some tensors by name."""
    return functional_call(skeleton, {**sliced_state(shared, skeleton), **override}, (x,), strict=True)
