"""Which subnets each training step trains."""

from __future__ import annotations

import numpy as np

from nas.space.architecture import Architecture, Block, Stage
from nas.space.bits import uniform, with_bits
from nas.space.cost import operator_cost
from nas.space.operator import place
from nas.space.search_space import SearchSpace, StageSpace


def sandwich(
    space: SearchSpace, step: int, seed: int, num_random: int = 2, widths: tuple[int, ...] = ()
) -> list[Architecture]:
    """Give the subnets of a step: a largest one first (the teacher), random ones, the smallest last.

    Sandwich rule (Yu & Huang 2019, arXiv 1903.05134). The kinds of the largest and of each random subnet come from a
    fair rotation: after any full cycle the largest has trained every kind in every slot equally often (a random one,
    whose depth is drawn too, in expectation). With one fixed largest subnet, its kinds are trained four times as often
    as the others and the ranking is biased towards them.
    With integer bit-widths, the largest stays float and has a copy of 8 bits, the smallest takes the fewest bits, and
    half of the random ones are uniform: independent draws alone would never show the ends.
    A pure function of (seed, step): a resumed training draws the same subnets.
    """
    rng = np.random.default_rng([seed, step, 1])
    largest = with_kinds(space, rotation(space, step, seed, member=0), rng, largest=True)
    drawn = [
        with_kinds(space, rotation(space, step, seed, member=1 + index), rng, largest=False)
        for index in range(num_random)
    ]
    if not widths:
        return [largest, *drawn, space.smallest()]
    rng = np.random.default_rng([seed, step, 4])
    drawn = [drawn_bits(space, each, widths, rng) for each in drawn]
    return [largest, uniform(space, largest, max(widths)), *drawn, uniform(space, space.smallest(), min(widths))]


def drawn_bits(
    space: SearchSpace, architecture: Architecture, widths: tuple[int, ...], rng: np.random.Generator
) -> Architecture:
    """Give an architecture bits: one draw for all of it, or one for each part, equally often."""
    enabled: tuple[str | int, ...] = ("fp", *widths)
    if rng.random() < 0.5:
        return uniform(space, architecture, enabled[int(rng.integers(len(enabled)))])

    def choose(choices: tuple[str | int, ...]) -> str | int:
        there = [bits for bits in choices if bits in enabled]
        return there[int(rng.integers(len(there)))]

    return with_bits(space, architecture, choose)


def rotation(space: SearchSpace, step: int, seed: int, member: int) -> list[list[str]]:
    """Give a kind for every slot of every stage: each slot walks through its own shuffled list of all its kinds."""
    chosen = []
    for s, stage in enumerate(space.stages):
        kinds = list(stage.kinds)
        cycle, turn = divmod(step, len(kinds))
        row = []
        for b in range(max(stage.depths)):
            order = np.random.default_rng([seed, cycle, member, s, b, 2]).permutation(len(kinds))
            row.append(kinds[order[turn]])
        chosen.append(row)
    return chosen


def with_kinds(space: SearchSpace, kinds: list[list[str]], rng: np.random.Generator, largest: bool) -> Architecture:
    """Give an architecture whose blocks have the given kinds: the largest of them, or one drawn at random."""
    resolution = max(space.resolutions) if largest else int(rng.choice(space.resolutions))
    stages = []
    for stage, row, grid in zip(space.stages, kinds, space.grids(resolution), strict=True):
        width = max(stage.widths) if largest else int(rng.choice(stage.widths))
        depth = max(stage.depths) if largest else int(rng.choice(stage.depths))
        if largest:
            blocks = [largest_block(stage, kind, width, grid, rng) for kind in row[:depth]]
        else:
            blocks = [random_block(stage, kind, rng) for kind in row[:depth]]
        stages.append(Stage(width, tuple(blocks), stage.stride))
    return Architecture(resolution, tuple(stages), space.stem)


def random_block(stage: StageSpace, kind: str, rng: np.random.Generator) -> Block:
    """Draw one of the stage's float blocks of this kind."""
    blocks = [block for block in stage.blocks if (block.kind, block.bits) == (kind, "fp")]
    return blocks[int(rng.integers(len(blocks)))]


def largest_block(stage: StageSpace, kind: str, width: int, grid: int, rng: np.random.Generator) -> Block:
    """Give the stage's float block of this kind with most MACs; drawn among those that tie (sets of directions)."""
    blocks = [block for block in stage.blocks if (block.kind, block.bits) == (kind, "fp")]
    macs = [operator_cost(place(block, width, grid)).macs for block in blocks]
    ties = [block for block, cost in zip(blocks, macs, strict=True) if cost == max(macs)]
    return ties[int(rng.integers(len(ties)))]
