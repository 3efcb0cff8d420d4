"""The one rule of weight sharing: a smaller layer is a slice of a larger one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

Form = Callable[[str, Tensor, Tensor], Tensor]  # a tensor's name, its slice, the shared tensor -> what takes its place


class HasForms(Protocol):
    """What makes of slices, as it is at the moment, the weights to run on."""

    def now(self) -> Form:
        """Return it as a function."""


def take_slice(shared: Tensor, shape: torch.Size) -> Tensor:
    """Return the part of `shared` that a layer of `shape` uses, as a view through which gradients flow.

    The first entries along channel axes; the centre along the two kernel axes of a convolution [out, in, k, k]
    (Cai et al. 2020, Once for All).
    """
    if shared.shape == shape:
        return shared
    for axis, (have, want) in enumerate(zip(shared.shape, shape, strict=True)):
        is_kernel = len(shape) == 4 and axis >= 2
        shared = shared.narrow(axis, (have - want) // 2 if is_kernel else 0, want)
    return shared


class Slices:
    """The slices of a shared module that a skeleton runs on: names are looked up once, tensors every time.

    `forms` make of the slices, given by name with the tensors that they were cut from, what the skeleton is to run on.
    """

    def __init__(self, shared: nn.Module, skeleton: nn.Module, forms: HasForms | None = None) -> None:
        self.skeleton, self.forms = skeleton, forms
        source = {name: (holder, key) for name, holder, key in tensor_places(shared)}
        wanted = [(name, holder[key].shape) for name, holder, key in tensor_places(skeleton)]
        self.parts = [(name, *source[name], shape) for name, shape in wanted]

    def state(self) -> dict[str, Tensor]:
        """Return a value from the shared module for every parameter and buffer of the skeleton, by name."""
        if self.forms is None:
            return {name: take_slice(holder[key], shape) for name, holder, key, shape in self.parts}
        form = self.forms.now()
        return {
            name: form(name, take_slice(holder[key], shape), holder[key]) for name, holder, key, shape in self.parts
        }

    def run(self, x: Tensor, override: Mapping[str, Tensor]) -> Tensor:
        """Run the skeleton on its slices; `override` replaces some tensors by name."""
        # Every tensor is given under each of its names: looking for missing or tied ones would take a tenth of a step.
        return functional_call(self.skeleton, {**self.state(), **override}, (x,), tie_weights=False, strict=False)


def tensor_places(module: nn.Module) -> list[tuple[str, dict[str, Any], str]]:
    """List the name of every parameter and buffer, with the dictionary that holds it and its key there."""
    return [
        (f"{path}.{key}" if path else key, holder, key)
        for path, part in module.named_modules()
        for holder in (part._parameters, part._buffers)
        for key, tensor in holder.items()
        if tensor is not None
    ]
