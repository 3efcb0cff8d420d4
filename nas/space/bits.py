"""Bit-widths of whole networks, and which of them a device can run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

from nas.space.architecture import Architecture, Stage
from nas.space.operator import ACTIVATION_BITS, Operator, place, place_stem, place_step, place_transition
from nas.space.preset import Preset
from nas.space.search_space import SearchSpace, StageSpace

Width = str | int  # "fp" or bits
Has = Callable[[Operator], bool]


def widths_of(space: SearchSpace) -> tuple[int, ...]:
    """Give the integer bit-widths of a space, from many bits to few."""
    found = {bits for stage in space.stages for kind in stage.kinds for bits in stage.bits_of(kind)}
    found |= {bits for stage in space.stages for bits in stage.entry_bits} | set(space.head_bits)
    return tuple(sorted((bits for bits in found if isinstance(bits, int)), reverse=True))


def nearest(wanted: Width, choices: tuple[Width, ...]) -> Width:
    """Give the choice of fewest bits that has at least as many as wanted; float where there is none."""
    enough = [bits for bits in choices if isinstance(bits, int) and wanted != "fp" and bits >= int(wanted)]
    return min(enough, default="fp")


def uniform(space: SearchSpace, architecture: Architecture, wanted: Width) -> Architecture:
    """Give every part of an architecture the wanted bits, or the nearest above that the space has there."""
    return with_bits(space, architecture, lambda choices: nearest(wanted, choices))


def with_bits(
    space: SearchSpace, architecture: Architecture, choose: Callable[[tuple[Width, ...]], Width]
) -> Architecture:
    """Give every part of an architecture, in order, the bits that `choose` takes from what the space has there."""
    stages = []
    for stage, choices in zip(architecture.stages, space.stages, strict=True):
        entry = choose(choices.entry_bits)
        blocks = tuple(replace(block, bits=choose(choices.bits_of(block.kind))) for block in stage.blocks)
        stages.append(Stage(stage.width, blocks, stage.stride, entry))
    return Architecture(architecture.resolution, tuple(stages), architecture.stem, choose(space.head_bits))


def without_bits(architecture: Architecture) -> Architecture:
    """Give the float network of an architecture."""
    stages = [
        Stage(stage.width, tuple(replace(block, bits="fp") for block in stage.blocks), stage.stride)
        for stage in architecture.stages
    ]
    return Architecture(architecture.resolution, tuple(stages), architecture.stem)


def with_uniform_presets(space: SearchSpace) -> SearchSpace:
    """Add to each preset that is float its copies of uniform bits, `NAME-8` and so on, for each width of the space."""
    presets = dict(space.presets)
    for name, preset in space.presets.items():
        for bits in widths_of(space):
            architecture = uniform(space, preset.architecture, bits)
            is_float = preset.architecture == uniform(space, preset.architecture, "fp")
            if is_float and f"{name}-{bits}" not in presets:
                presets[f"{name}-{bits}"] = Preset(f"{name}-{bits}", architecture, f"{preset.source}; {bits} bits")
    return replace(space, presets=presets)


def available(space: SearchSpace, has: Has) -> SearchSpace:
    """Leave out every bit-width, of a kind in a stage, of an entry or of the head, that lacks an operator.

    What is left out cannot be sampled, mutated or crossed into: the space does not have it. A width that lacks one of
    its shapes goes as a whole; without the operators between float and codes all go.
    """
    if not widths_of(space) or not all(map(has, transitions(space))):
        return space if not widths_of(space) else narrowed(space, lambda operator: operator.bits == "fp")
    return narrowed(space, has)


def narrowed(space: SearchSpace, has: Has) -> SearchSpace:
    """Keep the bit-widths of which all operators are there; float always stays."""

    def kept(choices: tuple[Width, ...], operators: Callable[[Width], list[Operator]]) -> tuple[Width, ...]:
        return tuple(bits for bits in choices if bits == "fp" or all(map(has, operators(bits))))

    stages = []
    for index, stage in enumerate(space.stages):
        bits = {kind: kept(stage.bits_of(kind), partial(blocks_at, space, index, kind)) for kind in stage.kinds}
        entry = kept(stage.entry_bits, partial(entries_at, space, index))
        one, *others = sorted(set(bits.values()), key=len)
        stages.append(replace(stage, bits=one, kind_bits=bits if others else {}, entry_bits=entry))
    head = kept(space.head_bits, partial(heads_at, space))
    found = replace(space, stages=tuple(stages), head_bits=head, presets={})
    if found == space:
        return space
    presets = {name: preset for name, preset in space.presets.items() if preset.architecture in found}
    return replace(found, presets=presets)


def blocks_at(space: SearchSpace, index: int, kind: str, bits: Width) -> list[Operator]:
    """List the operators of a kind with some bits in a stage."""
    stage = space.stages[index]
    blocks = [block for block in stage.blocks if (block.kind, block.bits) == (kind, bits)]
    grids = [space.grids(resolution)[index] for resolution in space.resolutions]
    return [place(*each) for each in product(blocks, stage.widths, grids)]


def entries_at(space: SearchSpace, index: int, bits: Width) -> list[Operator]:
    """List the stems, or the steps into a stage, with some bits."""
    stage: StageSpace = space.stages[index]
    if index == 0:
        return [place_stem(space.stem, w, r, bits) for w, r in product(stage.widths, space.resolutions)]
    grids = [space.grids(resolution)[index - 1] for resolution in space.resolutions]
    before = space.stages[index - 1].widths
    return [place_step(stage.stride, b, w, g, bits) for b, w, g in product(before, stage.widths, grids)]


def heads_at(space: SearchSpace, bits: Width) -> list[Operator]:
    """List the heads with some bits."""
    grids = [space.grids(resolution)[-1] for resolution in space.resolutions]
    widths = space.stages[-1].widths
    return [Operator("head", w, space.num_classes, g, (), bits) for w, g in product(widths, grids)]


def transitions(space: SearchSpace) -> list[Operator]:
    """List the operators that may stand between float and codes: at the image, and at every width and grid."""
    if not widths_of(space):
        return []
    ends: tuple[Width, ...] = ("fp", ACTIVATION_BITS)
    places = [(3, resolution) for resolution in space.resolutions]
    for index, stage in enumerate(space.stages):
        grids = [space.grids(resolution)[index] for resolution in space.resolutions]
        places += product(stage.widths, grids)
    asked = [Operator("", width, width, grid, (), bits) for width, grid in places for bits in ends]
    found = [place_transition(coded, op) for op in asked for coded in (False, True)]
    kept = [op for op in found if op is not None and (op.in_channels, op.kind) != (3, "dequantize")]
    return list(dict.fromkeys(kept))
