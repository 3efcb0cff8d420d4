"""Weights that several kinds of block have in common: one and the same tensors within a slot of a supernet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

# The kinds of the gated family, and what those of them that have a tensor of this name share. Norms, LayerScales and
# all that is one number per head stay each kind's own, so that a badly scaled kind cannot spoil the others.
FAMILY = ("gated-conv", "ssd", "nc-ssd", "multiscale", "state-fusion")
FAMILY_TENSORS = (
    "mixer.gate.weight",
    "mixer.value.weight",
    "mixer.depthwise.weight",
    "mixer.depthwise.bias",
    "mixer.out.linear.weight",
    "mixer.core.to_b.weight",
    "mixer.core.to_c.weight",
    "mixer.core.to_dt.weight",
)
FAMILY_SETTINGS = ("expansion", "heads", "kernel", "state")  # those that the shared tensors' shapes depend on


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How subnets share weights, beside the rule that a smaller layer is a slice of a larger one."""

    kernel_matrices: bool = False  # small kernels are learned transforms of large ones (nas.supernet.kernel_matrices)
    experts: int = 1  # sets of weights that operators mix (nas.supernet.experts)
    split: frozenset[str] = (
        frozenset()
    )  # tensors of relatives that are their own: "stage0-block0-ssd.mixer.gate.weight"


PLAIN = Sharing()

Choices = Mapping[str, tuple[Any, ...]]  # of each setting


def joint_choices(kinds: Mapping[str, Choices]) -> dict[str, Choices]:
    """Return each kind of a stage the choices that its module must cover: in a family also those of its relatives."""
    joint: dict[str, dict[str, tuple[Any, ...]]] = {kind: dict(settings) for kind, settings in kinds.items()}
    family = [kind for kind in FAMILY if kind in kinds]
    for name in FAMILY_SETTINGS:
        union = tuple(dict.fromkeys(value for kind in family for value in kinds[kind].get(name, ())))
        for kind in family:
            if name in kinds[kind]:
                joint[kind][name] = union
    return dict(joint)


def tie(shared: nn.ModuleDict, slot: Mapping[str, str], split: Collection[str] = ()) -> dict[str, str]:
    """Make relatives hold the same tensors, but those in `split`, in place; `slot` maps kinds to names of modules.

    Gives the further names of each tensor, with its first. The state dict of `shared` then gives, and takes, each such
    tensor once: under its first name.
    """
    family = [name for kind, name in slot.items() if kind in FAMILY]
    aliases = {}
    for tensor_name in FAMILY_TENSORS:
        tied = [name for name in family if f"{name}.{tensor_name}" not in split]
        held = {name: dict(shared[name].named_parameters()).get(tensor_name) for name in tied}
        tensors = {name: tensor for name, tensor in held.items() if tensor is not None}
        if not tensors:
            continue
        largest, home = max(tensors.values(), key=Tensor.numel), next(iter(tensors))
        path, _, attribute = tensor_name.rpartition(".")
        for name, tensor in tensors.items():
            assert all(have >= want for have, want in zip(largest.shape, tensor.shape, strict=True))
            setattr(shared[name].get_submodule(path), attribute, largest)
            if name != home:
                aliases[f"{name}.{tensor_name}"] = f"{home}.{tensor_name}"
    shared.register_state_dict_post_hook(partial(drop_aliases, aliases))
    shared.register_load_state_dict_pre_hook(partial(add_aliases, aliases))
    return aliases


def drop_aliases(aliases: Mapping[str, str], module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Leave out of a state dict what it has under another name: safetensors refuses to store memory twice."""
    for alias in aliases:
        state.pop(prefix + alias, None)


def add_aliases(aliases: Mapping[str, str], module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Put back into a state dict, before it is loaded, what `drop_aliases` left out."""
    state.update({prefix + alias: state[prefix + home] for alias, home in aliases.items() if prefix + home in state})
