"""Which genomes to evaluate before anything is known: the ends of every cheap figure, and a spread between them."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from nas.search.algorithms.random_search import sample_unseen
from nas.search.evolution import evolve, unmet
from nas.search.predictor import one_hot
from nas.search.pricing import Prices
from nas.search.problem import DesignSpace, Genome, as_genomes, canonical
from nas.search.variation import mutate, single_changes
from nas.statistics import squared_distances

POOL = 400  # random genomes, and as many mixtures of ends, from which a design is chosen
MIXED_CHANGES = 2  # genes changed on average in a second set of mixtures
CHEAP_WEIGHT = 2.0  # of the range of a cheap objective, where differing in all genes counts 1
APPROACH = 20  # generations of evolution where the pool holds too few feasible genomes
DESCENTS = 50  # steps from a random genome towards an end, at most
FEASIBLE_DRAWS = 5  # random genomes for each feasible one that is needed


def first_design(prices: Prices, rng: np.random.Generator, seen: Set[Genome], n: int) -> np.ndarray:
    """Choose up to n unseen feasible genomes, int [k, genes]: ends first, then always the farthest from all before.

    The distance counts the cheap objectives, scaled to their range, and the share of genes that differ. Where nothing
    feasible is found, the genomes of the least violation are returned.
    """
    space = prices.space
    ends = find_ends(prices, rng)
    met = set(seen)
    mixed = mixtures(ends, rng, POOL)
    pool = unmet(space, np.concatenate([ends, mixed, mutate(space, mixed, rng, MIXED_CHANGES)]), met)
    num_ends = len(unmet(space, ends, set(seen)))
    pool = np.concatenate([pool, sample_unseen(space, rng, met, POOL)])
    costs, excess = prices(pool)
    if (excess == 0).sum() < n:
        pool, excess = approach(prices, rng, seen, pool, n)
        costs, num_ends = prices(pool)[0], 0
    if not (excess == 0).any():
        return pool[np.argsort(excess, kind="stable")[:n]]
    num_ends = int((excess[:num_ends] == 0).sum())
    pool, costs = pool[excess == 0], costs[excess == 0]
    cheap = costs[:, ~np.isnan(costs).all(axis=0)]
    scaled = (cheap - cheap.min(axis=0)) / np.where(np.ptp(cheap, axis=0) > 0, np.ptp(cheap, axis=0), 1.0)
    genes = one_hot(space, pool, space.active(pool))
    shares = genes / np.sqrt(2 * np.maximum(1.0, genes.sum(axis=1, keepdims=True)))
    return pool[farthest_first(np.concatenate([CHEAP_WEIGHT * scaled, shares], axis=1), n, num_ends)]


def approach(
    prices: Prices, rng: np.random.Generator, seen: Set[Genome], start: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Evolve a few times n genomes into the constraints; return unseen genomes [k, genes] and violations [k]."""
    space, size = prices.space, max(4 * n, 40)

    def assess(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        costs, excess = prices(genomes)
        return np.nan_to_num(costs), excess

    evolved = evolve(space, rng, assess, start[:0], start, seen, size=size, num_children=size, generations=APPROACH)
    return evolved[0], evolved[2]


def farthest_first(place: np.ndarray, n: int, num_given: int) -> np.ndarray:
    """Return indices of up to n rows of place [k, axes]: the `num_given` first, then always the farthest from these."""
    nearest = squared_distances(place, place[:num_given]).min(axis=1, initial=np.inf)
    chosen = list(range(min(n, num_given)))
    while len(chosen) < min(n, len(place)):
        nearest[chosen] = -1.0
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, squared_distances(place, place[chosen[-1:]])[:, 0])
    return np.array(chosen, dtype=int)


def find_ends(prices: Prices, rng: np.random.Generator) -> np.ndarray:
    """Return genomes of the smallest and the largest value of each cheap objective by descent, int [k, genes]."""
    space = prices.space
    start = canonical(space, rng.integers(space.cardinalities, size=(1, len(space.cardinalities))))[0]
    cheap = [i for i, objective in enumerate(prices.problem.objectives) if not objective.expensive]
    ends = [descend(prices, start, i, sign) for i in cheap for sign in (1.0, -1.0)]
    return np.stack(ends) if ends else as_genomes(space, [])


def descend(prices: Prices, genome: np.ndarray, objective: int, sign: float) -> np.ndarray:
    """Improve sign * a cheap cost gene by gene from `genome` [genes], within the constraints as far as possible."""
    space = prices.space

    def keys(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        costs, excess = prices(genomes)
        return excess, sign * costs[:, objective]

    def best_of(genomes: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
        excess, costs = keys(genomes)
        first = int(np.lexsort((costs, excess))[0])
        return genomes[first], (float(excess[first]), float(costs[first]))

    best, value = best_of(genome[None])
    for _ in range(DESCENTS):
        changed = canonical(space, single_changes(space, best[None]))
        leap = canonical(space, all_best(space, keys(changed), best)[None])
        candidate, reached = best_of(np.concatenate([changed, leap]))
        if not reached < value:
            break
        best, value = candidate, reached
    return best


def all_best(space: DesignSpace, keys: tuple[np.ndarray, np.ndarray], genome: np.ndarray) -> np.ndarray:
    """Set every gene to its best single change at once, [genes]: the optimum where the figure is a sum over genes."""
    leap, start = genome.copy(), 0
    for gene, cardinality in enumerate(space.cardinalities):
        part = slice(start, start + cardinality)
        leap[gene] = np.lexsort((keys[1][part], keys[0][part]))[0]
        start += cardinality
    return leap


def mixtures(ends: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Mix pairs of ends in all proportions, int [n, genes]; nothing where there are fewer than two ends."""
    if len(ends) < 2:
        return ends[:0]
    first, second = ends[rng.integers(len(ends), size=n)], ends[rng.integers(len(ends), size=n)]
    return np.where(rng.random((n, ends.shape[1])) < rng.random((n, 1)), first, second)


def draw_feasible(prices: Prices, rng: np.random.Generator, seen: Set[Genome], n: int) -> np.ndarray:
    """Draw n genomes outside `seen`, int [n, genes], feasible ones if enough can be found.

    The rest is infeasible. Fewer than n come only when the space is exhausted.
    """
    space = prices.space
    if n <= 0:
        return as_genomes(space, [])
    drawn = sample_unseen(space, rng, seen, FEASIBLE_DRAWS * n)
    excess = prices(drawn)[1]
    if (excess == 0).sum() < n:
        evolved, _ = approach(prices, rng, seen, drawn, n)
        drawn = unmet(space, np.concatenate([drawn, evolved]), set())
        excess = prices(drawn)[1]
    return drawn[np.argsort(excess, kind="stable")[:n]]
