"""Bit-widths of whole networks: float, uniform, or chosen part by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nas.space.architecture import Architecture, Stage
from nas.space.definition import SpaceDefinition

Width = str | int  # "fp" or bits


def nearest(wanted: Width, choices: tuple[Width, ...]) -> Width:
    """Return the choice of fewest bits that has at least as many as wanted; float where there is none."""
    enough = [bits for bits in choices if isinstance(bits, int) and wanted != "fp" and bits >= int(wanted)]
    return min(enough, default="fp")


def uniform(space: SpaceDefinition, architecture: Architecture, wanted: Width) -> Architecture:
    """Return an architecture with the wanted bits everywhere, or the nearest above that the space has there."""
    return with_bits(space, architecture, lambda choices: nearest(wanted, choices))


def with_bits(
    space: SpaceDefinition, architecture: Architecture, choose: Callable[[tuple[Width, ...]], Width]
) -> Architecture:
    """Return an architecture whose parts have, in order, the bits that `choose` takes from what the space has there."""
    stages = []
    for stage, choices in zip(architecture.stages, space.stages, strict=True):
        entry = choose(choices.entry_bits)
        blocks = tuple(replace(block, bits=choose(choices.bits_of(block.kind))) for block in stage.blocks)
        stages.append(Stage(stage.width, blocks, stage.stride, entry))
    return Architecture(architecture.resolution, tuple(stages), architecture.stem, choose(space.head_bits))


def without_bits(architecture: Architecture) -> Architecture:
    """Return the float network of an architecture."""
    stages = [
        Stage(stage.width, tuple(replace(block, bits="fp") for block in stage.blocks), stage.stride)
        for stage in architecture.stages
    ]
    return Architecture(architecture.resolution, tuple(stages), architecture.stem)
