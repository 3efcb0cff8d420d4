"""Which bit-widths of a space a device can run: what lacks an operator leaves the space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

from nas.space.bits import Width
from nas.space.operator import Operator, place, place_stem, place_step
from nas.space.search_space import SearchSpace, transitions, widths_of

Has = Callable[[Operator], bool]


def available(space: SearchSpace, has: Has) -> SearchSpace:
    """Leave out every bit-width, of a kind in a stage, of an entry or of the head, that lacks an operator.

    What is left out cannot be sampled, mutated or crossed into: the space does not have it. A width that lacks one of
    its shapes goes as a whole. Without the operators between float and integer values all integer widths go.
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
    part = replace(space, stages=tuple(stages), head_bits=head, presets={})
    if part == space:
        return space
    presets = {name: preset for name, preset in space.presets.items() if preset.architecture in part}
    return replace(part, presets=presets)


def blocks_at(space: SearchSpace, index: int, kind: str, bits: Width) -> list[Operator]:
    """List the operators of a kind with some bits in a stage."""
    stage = space.stages[index]
    blocks = [block for block in stage.blocks if (block.kind, block.bits) == (kind, bits)]
    grids = [space.grids(resolution)[index] for resolution in space.resolutions]
    return [place(block, width, grid) for block, width, grid in product(blocks, stage.widths, grids)]


def entries_at(space: SearchSpace, index: int, bits: Width) -> list[Operator]:
    """List the stems, or the steps into a stage, with some bits."""
    stage = space.stages[index]
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
