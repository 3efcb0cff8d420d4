"""Which kind each slot has at a step: every kind in its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nas.space.architecture import Architecture, Block, Stage
from nas.space.cost import operator_cost
from nas.space.operator import place
from nas.space.search_space import SearchSpace
from nas.space.stage_space import StageSpace

Extreme = Callable[..., Any]  # `max` or `min`


def rotation(space: SearchSpace, step: int, seed: int, member: int) -> list[list[str]]:
    """Return a kind for every slot of every stage: each slot walks through its own shuffled list of all its kinds."""
    chosen = []
    for s, stage in enumerate(space.stages):
        kinds = list(stage.kinds)
        cycle, context = divmod(step, len(kinds))
        row = []
        for b in range(max(stage.depths)):
            order = np.random.default_rng([seed, cycle, member, s, b, 2]).permutation(len(kinds))
            row.append(kinds[order[context]])
        chosen.append(row)
    return chosen


def with_kinds(
    space: SearchSpace, kinds: list[list[str]], rng: np.random.Generator, extreme: Extreme | None = None
) -> Architecture:
    """Return an architecture whose blocks have the given kinds: one drawn at random, or an extreme, `max` or `min`."""
    resolution = extreme(space.resolutions) if extreme else int(rng.choice(space.resolutions))
    stages = []
    for stage, row, grid in zip(space.stages, kinds, space.grids(resolution), strict=True):
        width = extreme(stage.widths) if extreme else int(rng.choice(stage.widths))
        depth = extreme(stage.depths) if extreme else int(rng.choice(stage.depths))
        blocks = [block_of(stage, kind, width, grid, rng, extreme) for kind in row[:depth]]
        stages.append(Stage(width, tuple(blocks), stage.stride))
    return Architecture(resolution, tuple(stages), space.stem)


def block_of(
    stage: StageSpace, kind: str, width: int, grid: int, rng: np.random.Generator, extreme: Extreme | None
) -> Block:
    """Draw one of the stage's float blocks of this kind: any, or of those with most or fewest MACs."""
    blocks = [block for block in stage.blocks if (block.kind, block.bits) == (kind, "fp")]
    if extreme:  # several may tie: sets of directions
        macs = [operator_cost(place(block, width, grid)).macs for block in blocks]
        blocks = [block for block, cost in zip(blocks, macs, strict=True) if cost == extreme(macs)]
    return blocks[int(rng.integers(len(blocks)))]
