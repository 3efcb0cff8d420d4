"""Evolution of whole populations at once, on cheap or predicted costs: NSGA-II's survival (Deb et al. 2002)."""

from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np

from nas.search.problem import DesignSpace, Genome, as_genomes, as_tuples, canonical
from nas.search.variation import cross, mutate

MOST_CHANGES = 4  # a child has 1 to this many genes changed on average
PATIENCE = 5  # generations without an unseen child before evolution ends

Assess = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # genomes -> costs [n, objectives], violations [n]


def evolve(
    space: DesignSpace,
    rng: np.random.Generator,
    assess: Assess,
    parents: np.ndarray,
    start: np.ndarray,
    seen: Set[Genome],
    *,
    size: int,
    num_children: int,
    generations: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evolve `size` unseen genomes of low cost; return genomes [k, genes], costs [k, objectives], violations [k].

    `start` [n, genes] is the first population. `parents` [n, genes] may be seen ones; they mate in every generation.
    Seen genomes are not assessed. Fewer than `size` genomes are returned only where no more were met.
    """
    met = set(seen)
    population = unmet(space, start, met)
    costs, excess = assess(population)
    barren = 0
    for _ in range(generations):
        pool = np.concatenate([parents, population])
        if barren == PATIENCE or not len(pool):
            break
        alive = space.active(pool)
        one, other = rng.integers(len(pool), size=(2, num_children))
        crossed = cross(pool[one], pool[other], alive[one], alive[other], rng)
        mated = np.where(rng.random((num_children, 1)) < 0.5, crossed, pool[one])
        changes = rng.integers(1, MOST_CHANGES + 1, size=num_children)
        children = unmet(space, mutate(space, mated, rng, changes), met)
        barren = 0 if len(children) else barren + 1
        new_costs, new_excess = assess(children)
        population = np.concatenate([population, children])
        costs, excess = np.concatenate([costs, new_costs]), np.concatenate([excess, new_excess])
        kept = survivors(costs, excess, size)
        population, costs, excess = population[kept], costs[kept], excess[kept]
    return population, costs, excess


def unmet(space: DesignSpace, genomes: np.ndarray, met: set[Genome], seen: Set[Genome] = frozenset()) -> np.ndarray:
    """Return the canonical genomes in neither `met` nor `seen`, each once, int [k, genes], and add them to `met`."""
    distinct = dict.fromkeys(as_tuples(canonical(space, genomes)))
    new = [genome for genome in distinct if genome not in met and genome not in seen]
    met.update(new)
    return as_genomes(space, new)


def survivors(costs: np.ndarray, excess: np.ndarray, size: int) -> np.ndarray:
    """Return the indices of the `size` best rows: feasible ones by rank and crowding, then others by violation."""
    if len(costs) <= size:
        return np.arange(len(costs))
    feasible = np.flatnonzero(excess == 0)
    infeasible = np.flatnonzero(excess > 0)
    ranks = pareto_ranks(costs[feasible])
    order = feasible[np.lexsort((-crowding(costs[feasible], ranks), ranks))]
    return np.concatenate([order, infeasible[np.argsort(excess[infeasible], kind="stable")]])[:size]


def pareto_ranks(costs: np.ndarray) -> np.ndarray:
    """Return the number of the front that each row is on when front after front is taken away, int [n]."""
    from moocore import pareto_rank

    return np.asarray(pareto_rank(costs)) if len(costs) else np.zeros(0, dtype=int)


def crowding(costs: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the distance between each row's neighbours on its front, summed over objectives; infinite at the ends."""
    total = np.zeros(len(costs))
    for column in costs.T if len(costs) else ():
        order = np.lexsort((column, ranks))
        values, fronts = column[order], ranks[order]
        gaps = np.full(len(values), np.inf)
        inner = (fronts[2:] == fronts[1:-1]) & (fronts[:-2] == fronts[1:-1])
        gaps[1:-1][inner] = (values[2:] - values[:-2])[inner]
        total[order] += gaps / (np.ptp(column) or 1.0)
    return total
