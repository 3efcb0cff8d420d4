"""Sensitivity search: what each single choice costs, then all choices below one threshold at once.

After FastNAS of TensorRT Model Optimizer, where a threshold on the drop gives for every gene the cheapest choice that
drops no more, and the threshold is bisected. Here the genome of every threshold is a candidate, in the order of a
bisection, so that one table of drops serves all limits and the whole front; then comes another base.
"""

from __future__ import annotations

import numpy as np

from nas.search.design import draw_feasible, first_design
from nas.search.evolution import crowding, unmet
from nas.search.pricing import Prices
from nas.search.problem import Genome, Problem, as_genomes, as_tuples, canonical
from nas.search.variation import single_changes
from nas.statistics import non_dominated


class Sensitivity:
    """Proposes the single changes of a base, then the genomes of all thresholds on what they cost."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.space = problem.space
        self.rng = rng
        self.prices = Prices(problem)
        self.expensive = np.array([objective.expensive for objective in problem.objectives])
        self.seen: set[Genome] = set()
        self.costs: dict[Genome, np.ndarray] = {}  # of feasible genomes that did not fail
        self.bases: list[Genome] = []

    def ask(self, n: int) -> np.ndarray:
        """Propose n genomes never proposed or told before, int [n, genes]; fewer when the space is exhausted."""
        genomes = as_genomes(self.space, [])
        if not self.costs:
            genomes = first_design(self.prices, self.rng, self.seen, n)
        while self.costs:
            for base in self.bases:
                if len(genomes) < n:
                    genomes = np.concatenate([genomes, self.next_of(base, self.seen | set(as_tuples(genomes)))])
            if len(genomes) >= n or not self.add_base():
                break
        genomes = genomes[:n]
        self.seen.update(as_tuples(genomes))
        rest = draw_feasible(self.prices, self.rng, self.seen, n - len(genomes))
        self.seen.update(as_tuples(rest))
        return np.concatenate([genomes, rest])

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Remember the costs of the feasible genomes."""
        self.seen.update(as_tuples(genomes))
        for genome, cost, excess in zip(as_tuples(genomes), costs, violations, strict=True):
            if excess == 0:
                self.costs[genome] = cost

    def add_base(self) -> bool:
        """Take another base; return False where every member of the front has been one.

        The first is the best by the expensive objectives, the next are the members with most room on the front.
        """
        genomes, costs = list(self.costs), np.array(list(self.costs.values()))
        front = np.flatnonzero(non_dominated(costs))
        if self.bases:
            room = crowding(costs[front], np.zeros(len(front)))
            order = front[np.argsort(-room, kind="stable")]
        else:
            order = np.argsort(self.drops(costs, costs[0]), kind="stable")
        fresh = [genomes[i] for i in order if genomes[i] not in self.bases]
        self.bases += fresh[:1]
        return bool(fresh)

    def next_of(self, base: Genome, met: set[Genome]) -> np.ndarray:
        """Return feasible genomes outside `met`: the base's single changes, or else the genomes of all thresholds."""
        changes = canonical(self.space, single_changes(self.space, as_genomes(self.space, [base])))
        new = unmet(self.space, changes, set(met))
        new = new[self.prices(new)[1] == 0]
        if len(new):
            return new
        new = unmet(self.space, self.thresholds(base, changes), set(met))
        return new[self.prices(new)[1] == 0]

    def thresholds(self, base: Genome, changes: np.ndarray) -> np.ndarray:
        """Return for each drop among the single changes the cheapest choices of no larger drop together, [k, genes]."""
        known = [self.costs.get(genome) for genome in as_tuples(changes)]
        costs = np.array([np.full(len(self.expensive), np.inf) if cost is None else cost for cost in known])
        drops, prices = self.drops(costs, self.costs[base]), self.cheapness(changes)
        genes = np.repeat(np.arange(len(base)), self.space.cardinalities)
        choices = np.concatenate([np.arange(cardinality) for cardinality in self.space.cardinalities])
        levels = np.unique(drops[np.isfinite(drops)])
        rows = np.repeat(np.array([base]), len(levels), axis=0)
        order = np.lexsort((drops, prices))[::-1]  # cheapest last, so that it is what stays
        for i in order:
            rows[drops[i] <= levels, genes[i]] = choices[i]
        return rows[bisection_order(len(rows))]

    def drops(self, costs: np.ndarray, base_cost: np.ndarray) -> np.ndarray:
        """Return how much worse costs [n, objectives] are than the base in all expensive objectives, float [n]."""
        evaluated = np.array(list(self.costs.values()))
        span = np.ptp(evaluated, axis=0)
        return ((costs - base_cost) / np.where(span > 0, span, 1.0))[:, self.expensive].sum(axis=1)

    def cheapness(self, genomes: np.ndarray) -> np.ndarray:
        """Return the sum of the cheap objectives, each scaled to its range over the genomes, float [n]."""
        costs = self.prices(genomes)[0][:, ~self.expensive]
        span = np.ptp(costs, axis=0)
        return ((costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)).sum(axis=1)


def bisection_order(n: int) -> list[int]:
    """Order 0 to n - 1 by ends, middle, quarters, ...: each index once."""
    steps = [2.0**-level for level in range(max(1, n).bit_length() + 1)]
    visited = [round(k * step * (n - 1)) for step in steps for k in range(round(1 / step) + 1)]
    return list(dict.fromkeys([*visited, *range(n)])) if n else []
