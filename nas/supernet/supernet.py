"""One set of weights for every architecture of a space."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nas.nn.blocks import build_operator, fold_norms
from nas.nn.ranks import SINGLE_PROCESS, Ranks
from nas.nn.subnet import Subnet, resize
from nas.nn.sync_batch_norm import join_norms
from nas.space.architecture import Architecture, Bits
from nas.space.operator import ACTIVATION_BITS, TRANSITIONS, Operator, operators, place_stem, place_step
from nas.space.search_space import SearchSpace, widths_of
from nas.supernet.experts import Experts, count_experts
from nas.supernet.kernel_matrices import KernelMatrices
from nas.supernet.sharing import PLAIN, Sharing, joint_choices, tie
from nas.supernet.slicing import Slices
from nas.supernet.weight_transforms import Forms

# BatchNorm statistics of one subnet: one mapping of buffer name -> tensor per operator, in the order they run.
NormStatistics = tuple[Mapping[str, Tensor], ...]


class Supernet(nn.Module):
    """Runs any architecture of `space` on slices of shared weights.

    Every slot of every stage owns one module per block kind, built at its largest settings; an architecture's blocks
    run on slices of them. Kinds of one family hold some tensors in common, and there may be more to it (`Sharing`). The
    module keeps no record of which architecture ran. Two threads need two supernets, which may share their weights
    (`twin`). In training mode, BatchNorm takes the statistics of all `peers`, which have to run the same.
    """

    def __init__(self, space: SearchSpace, ranks: Ranks = SINGLE_PROCESS, sharing: Sharing = PLAIN) -> None:
        super().__init__()
        self.space, self.ranks, self.sharing = space, ranks, sharing
        largest = largest_operators(space)
        self.shared = nn.ModuleDict({name: build_operator(op) for name, op in largest.items()})
        self.aliases: dict[str, str] = {}  # other names of shared tensors, and their first
        for slot in slots(space):
            self.aliases |= tie(self.shared, slot, sharing.split)
        self.kernel_matrices = matrices_of(self.shared, space) if sharing.kernel_matrices else None
        self.experts = Experts(self.shared, largest, sharing.experts) if sharing.experts > 1 else None
        self.to(memory_format=torch.channels_last)  # steps on slices take a sixth less time (measured, one x86 core)
        self._skeletons: dict[tuple[Operator, bool], nn.Module] = {}
        self._slices: dict[tuple[str, Operator, bool], Slices] = {}

    def forward(self, images: Tensor, architecture: Architecture, stats: NormStatistics | None = None) -> Tensor:
        """Map images [b, 3, h, w] to logits [b, classes] by the subnet of `architecture`.

        BatchNorm normalises by `stats` (of `calibrate`) where they are given. Else, in training mode, by the batch; in
        eval mode by the running statistics that all subnets share, which are right for none of them.
        """
        x = resize(images, architecture.resolution)
        for index, (name, op) in enumerate(placed_operators(architecture, self.space.num_classes)):
            override = stats[index] if stats is not None else {}
            x = self.slices(name, op, self.training and stats is None).run(x, override)
        return x

    def skeleton(self, op: Operator, training: bool) -> nn.Module:
        """Return an operator's module without memory for weights, to be run on given ones; built once per operator."""
        if (op, training) not in self._skeletons:
            with torch.device("meta"):
                self._skeletons[op, training] = join_norms(build_operator(op).train(training), self.ranks)
        return self._skeletons[op, training]

    def slices(self, name: str, op: Operator, training: bool) -> Slices:
        """Return an operator's module and the slices of a shared module that it runs on."""
        key = name, op, training
        if key not in self._slices:
            self._slices[key] = Slices(self.shared[name], self.skeleton(op, training), self.forms(name, op))
        return self._slices[key]

    def forms(self, name: str, op: Operator) -> Forms | None:
        """Return what makes of slices of a shared module the weights of an operator; None where they are all."""
        if self.kernel_matrices is None and self.experts is None:
            return None
        return Forms(name, op, self.experts, self.kernel_matrices)

    def twin(self) -> Supernet:
        """Make a supernet with these very weights in memory, but gradients and running statistics of its own."""
        other = Supernet(self.space, sharing=self.sharing).train(self.training)
        for own, theirs in zip(self.parameters(), other.parameters(), strict=True):
            theirs.data = own.data
        return other


def slots(space: SearchSpace) -> Iterator[dict[str, str]]:
    """Yield, for each place for a block, its kinds with the names of their shared modules."""
    for s, stage in enumerate(space.stages):
        for b in range(max(stage.depths)):
            yield {kind: f"{slot_name(s, b)}-{kind}" for kind in sorted(stage.kinds)}


def matrices_of(shared: nn.ModuleDict, space: SearchSpace) -> KernelMatrices:
    """Make the matrices of all kernels that a space lets its blocks choose."""
    made = KernelMatrices()
    for s, stage in enumerate(space.stages):
        for kind, choices in joint_choices(stage.kinds).items():
            for b in range(max(stage.depths) if "kernel" in choices else 0):
                made.add(name := f"{slot_name(s, b)}-{kind}", shared[name], choices["kernel"])
    return made


def sharing_of(space: SearchSpace, state: Collection[str]) -> Sharing:
    """Read from the names of a supernet's tensors how its subnets share them."""
    with torch.device("meta"):
        usual = Supernet(space).state_dict()
    return Sharing(
        kernel_matrices=any(name.startswith("kernel_matrices.") for name in state),
        experts=count_experts(state),
        split=frozenset(
            name.removeprefix("shared.") for name in set(state) - usual.keys() if name.startswith("shared.")
        ),
    )


def placed_operators(architecture: Architecture, num_classes: int) -> list[tuple[str, Operator]]:
    """Pair each operator of an architecture with the name of the shared module that holds its weights.

    Where integer values begin the place has one step of its own, whatever kind of block asks for them.
    """
    places = [("stem", "stem")]  # (place, module)
    for s, stage in enumerate(architecture.stages):
        step, slots = step_name(s, stage.stride), [slot_name(s, b) for b in range(len(stage.blocks))]
        places += [(step, step)] if s > 0 else []
        places += [(slot, f"{slot}-{block.kind}") for slot, block in zip(slots, stage.blocks, strict=True)]
    waiting, placed = iter([*places, ("head", "head")]), []
    pending: list[Operator] = []
    for op in operators(architecture, num_classes):
        if op.kind in TRANSITIONS:
            pending = [op]
            continue
        place, name = next(waiting)
        placed += [(transition_name(place, step.kind), step) for step in pending] + [(name, op)]
        pending = []
    return placed


def transition_name(place: str, kind: str) -> str:
    """Name the shared module before a place, of which only `quantize` holds anything."""
    return f"{place}-{kind}" if kind == "quantize" else kind


def step_name(stage: int, stride: int) -> str:
    """Name the shared module between a stage and the one before it."""
    return f"stage{stage}-{'downsample' if stride == 2 else 'widen'}"


def largest_operators(space: SearchSpace) -> dict[str, Operator]:
    """Return for each shared module the operator whose tensors cover those of every choice."""
    widths = [max(stage.widths) for stage in space.stages]
    entries = [held(stage.entry_bits) for stage in space.stages]
    found = {"stem": replace(place_stem(space.stem, widths[0], max(space.resolutions)), bits=entries[0])}
    for s, stage in enumerate(space.stages):
        if s > 0:
            step = place_step(stage.stride, widths[s - 1], widths[s], 1)
            found[step_name(s, stage.stride)] = replace(step, bits=entries[s])
        choices = joint_choices(stage.kinds)
        for b in range(max(stage.depths)):
            for kind in sorted(stage.kinds):  # names and weights must not depend on the order in a space's file
                largest = tuple((name, cover(name, choices[kind][name])) for name in sorted(choices[kind]))
                found[f"{slot_name(s, b)}-{kind}"] = Operator(
                    kind, widths[s], widths[s], 1, largest, held(stage.bits_of(kind))
                )
    found["head"] = Operator("head", widths[-1], space.num_classes, 1, (), held(space.head_bits))
    return {**found, **largest_transitions(space)}


def largest_transitions(space: SearchSpace) -> dict[str, Operator]:
    """Return what stands where floats meet integer values: a step before each place, nothing in a float space."""
    if not widths_of(space):
        return {}
    places = ["stem", "head"]
    for s, stage in enumerate(space.stages):
        places += [step_name(s, stage.stride)] if s > 0 else []
        places += [slot_name(s, b) for b in range(max(stage.depths))]
    quantize = Operator("quantize", 1, 1, 1, (), ACTIVATION_BITS)
    steps = {transition_name(place, "quantize"): quantize for place in places}
    return {**steps, "dequantize": Operator("dequantize", 1, 1, 1)}


def held(choices: tuple[str | int, ...]) -> Bits:
    """Return the bits that a shared module holds steps for."""
    return "fp" if choices == ("fp",) else choices


def slot_name(stage: int, block: int) -> str:
    """Name a place for a block; its shared modules are named by it and their kind."""
    return f"stage{stage}-block{block}"


def place_of(name: str) -> tuple[int, int, str]:
    """Return the stage, block and kind that a shared module of a slot is named by."""
    stage, block, kind = name.split("-", 2)
    return int(stage.removeprefix("stage")), int(block.removeprefix("block")), kind


def cover(setting: str, choices: tuple[Any, ...]) -> Any:
    """Return the value of a setting whose weights hold those of all choices: all scan directions, else the largest."""
    if setting == "directions":
        return tuple(dict.fromkeys(name for choice in choices for name in choice))
    return max(choices)


def extract(supernet: Supernet, architecture: Architecture, stats: NormStatistics | None = None) -> Subnet:
    """Cut a subnet out: a plain module in eval mode with its own copy of the weights and its norms folded.

    Its outputs equal `supernet(images, architecture, stats)` in eval mode.
    """
    subnet = inherit(supernet, architecture, stats)
    fold_norms(subnet)
    return subnet


def inherit(supernet: Supernet, architecture: Architecture, stats: NormStatistics | None = None) -> Subnet:
    """Cut a subnet out with its norms not folded, ready to be trained further."""
    subnet = Subnet(architecture, supernet.space.num_classes)
    for index, (name, op) in enumerate(placed_operators(architecture, supernet.space.num_classes)):
        take_weights(subnet.layers[index], supernet, name, op, stats[index] if stats is not None else {})
    return subnet.eval()


def extract_operator(supernet: Supernet, name: str, op: Operator, stats: Mapping[str, Tensor]) -> nn.Module:
    """Cut one operator of a subnet out, as `extract` does."""
    layer = build_operator(op)
    take_weights(layer, supernet, name, op, stats)
    return fold_norms(layer)


def take_weights(layer: nn.Module, supernet: Supernet, name: str, op: Operator, stats: Mapping[str, Tensor]) -> None:
    """Fill a layer with copies of the weights that it runs on in a supernet; `stats` replace some tensors by name."""
    state = {**Slices(supernet.shared[name], layer, supernet.forms(name, op)).state(), **stats}
    layer.load_state_dict({key: tensor.detach().clone() for key, tensor in state.items()})
