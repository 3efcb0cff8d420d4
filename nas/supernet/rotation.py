"""Which kind each slot has at a step: every kind in its turn."""

from __future__ import annotations

import numpy as np

from nas.space.architecture import Architecture, Block, Stage
from nas.space.cost import operator_cost
from nas.space.operator import place
from nas.space.search_space import SearchSpace, StageSpace


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
