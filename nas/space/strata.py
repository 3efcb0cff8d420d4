"""Architectures spread evenly over a cost: a sample that speaks for a whole space, not for its middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.space.search_space import SearchSpace

BINS = 6  # of equal width in the logarithm of the cost
RANGE_POOL = 200  # architectures drawn for each range of costs that training samples from
POOL = 50  # candidates drawn for each architecture wanted


def draw_pool(space: SearchSpace, count: int, rng: np.random.Generator) -> list[Architecture]:
    """Draw distinct float architectures to choose `count` from; all there are in a space of few."""
    drawn = (without_bits(space.sample(rng)) for _ in range(POOL * count))
    return list(dict.fromkeys(drawn))


def spread(pool: Sequence[Architecture], costs: Sequence[float], count: int) -> list[Architecture]:
    """Choose `count` of `pool`, or all there are: equally many of each range of the cost, kinds of blocks balanced.

    The next one comes from the range that has fewest, and is the one whose kinds were chosen least in their stages.
    """
    bins = cost_bins(np.asarray(costs, dtype=float), BINS)
    left = {name: [k for k in range(len(pool)) if bins[k] == name] for name in sorted(set(bins.tolist()))}
    taken, used = dict.fromkeys(left, 0), Counter[tuple[int, str]]()
    chosen: list[Architecture] = []
    while left and len(chosen) < count:
        emptiest = min(left, key=lambda name: taken[name])
        best = min(left[emptiest], key=lambda k: mean_use(pool[k], used))
        left[emptiest].remove(best)
        taken[emptiest] += 1
        if not left[emptiest]:
            del left[emptiest]
        used.update(kinds_of(pool[best]))
        chosen.append(pool[best])
    return chosen


def cost_bins(costs: np.ndarray, count: int) -> np.ndarray:
    """Number the range that each cost [n] falls in: `count` ranges of equal width in the logarithm."""
    edges = np.geomspace(costs.min(), costs.max(), count + 1)[1:-1]
    return np.searchsorted(edges, costs, side="right")


def kinds_of(architecture: Architecture) -> list[tuple[int, str]]:
    """List (stage, kind) of every block."""
    return [(s, block.kind) for s, stage in enumerate(architecture.stages) for block in stage.blocks]


def mean_use(architecture: Architecture, used: Counter[tuple[int, str]]) -> float:
    """Return how often the kinds of an architecture were used in their stages, on average."""
    kinds = kinds_of(architecture)
    return sum(used[kind] for kind in kinds) / len(kinds)


def by_cost(
    space: SearchSpace, cost: Callable[[Architecture], float], bins: int, seed: int
) -> list[list[Architecture]]:
    """Draw float architectures and sort them into `bins` ranges of their cost; ranges without any are left out."""
    pool = draw_pool(space, RANGE_POOL * bins // POOL, np.random.default_rng([seed, 8]))
    numbers = cost_bins(np.array([cost(architecture) for architecture in pool]), bins)
    ranges = [
        [architecture for architecture, number in zip(pool, numbers, strict=True) if number == k] for k in range(bins)
    ]
    return [members for members in ranges if members]
