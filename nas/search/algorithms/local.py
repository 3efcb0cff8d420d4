"""Pareto local search: evaluate neighbours of the front's members, one gene apart (Paquete et al. 2004)."""

from __future__ import annotations

import numpy as np

from nas.search.design import draw_feasible, first_design
from nas.search.evolution import unmet
from nas.search.pricing import Prices
from nas.search.problem import Genome, Problem, as_genomes, as_tuples
from nas.search.variation import mutate
from nas.statistics import non_dominated

DRAWS = 4  # neighbours drawn for each that is needed
RADIUS = 6  # genes changed at most before random genomes fill the batch


class LocalSearch:
    """Proposes feasible unseen neighbours of random members of the front, farther ones where the near ones are seen."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.space = problem.space
        self.rng = rng
        self.prices = Prices(problem)
        self.seen: set[Genome] = set()
        self.front = as_genomes(self.space, [])
        self.costs = np.empty((0, len(problem.objectives)))

    def ask(self, n: int) -> np.ndarray:
        """Propose n genomes never proposed or told before, int [n, genes]; fewer when the space is exhausted."""
        genomes = self.neighbours(n) if len(self.front) else first_design(self.prices, self.rng, self.seen, n)
        self.seen.update(as_tuples(genomes))
        rest = draw_feasible(self.prices, self.rng, self.seen, n - len(genomes))
        self.seen.update(as_tuples(rest))
        return np.concatenate([genomes, rest])

    def neighbours(self, n: int) -> np.ndarray:
        """Draw up to n unseen feasible genomes that differ from a member of the front in about 1 gene, then 2, ..."""
        met: set[Genome] = set()
        feasible = self.front[:0]
        for changes in range(1, RADIUS + 1):
            if len(feasible) >= n:
                break
            members = self.front[self.rng.integers(len(self.front), size=DRAWS * n)]
            drawn = unmet(self.space, mutate(self.space, members, self.rng, changes), met, self.seen)
            feasible = np.concatenate([feasible, drawn[self.prices(drawn)[1] == 0]])
        return feasible[:n]

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Keep the non-dominated genomes of all that were told so far."""
        self.seen.update(as_tuples(genomes))
        sound = violations == 0
        self.front = np.concatenate([self.front, genomes[sound]])
        self.costs = np.concatenate([self.costs, costs[sound]])
        kept = non_dominated(self.costs)
        self.front, self.costs = self.front[kept], self.costs[kept]
