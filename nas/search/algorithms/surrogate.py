"""Search with a predictor in the loop: evolve on predictions, evaluate what promises most hypervolume, learn, repeat.

Cheap objectives and constraints are exact, so only expensive objectives are predicted and nothing infeasible proposed.
After LINAS (Cummings et al. 2022, arXiv 2205.10358), with uncertainty, greedy hypervolume gain and exploration.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from nas.search.algorithms.random_search import sample_unseen
from nas.search.design import first_design
from nas.search.evolution import evolve, unmet
from nas.search.pareto import greedy_gains
from nas.search.predictor import Predictor, fit_predictor
from nas.search.pricing import Prices
from nas.search.problem import Genome, Problem, as_genomes, as_tuples
from nas.search.variation import mutate
from nas.statistics import non_dominated

DESIGN = 14  # feasible evaluations before the first prediction
SIZE, CHILDREN, GENERATIONS = 100, 400, 30  # of the evolution on predictions, for every batch
OPTIMISM = (0.0, 1.5)  # deviations by which an evolution takes predictions to be better than expected; drawn
# A gain is its mean over three points of Gauss and Hermite for a normal distribution a quarter wider than predicted.
VIEWS, WEIGHTS = 1.25 * 3**0.5 * np.array([0.0, -1.0, 1.0]), (2 / 3, 1 / 6, 1 / 6)
EXPLORATION = 0.15  # share of a batch: neighbours of the front, and one in three a random genome
TRIES = 40  # neighbours and random genomes from which feasible ones are taken to explore
MARGIN = 0.1  # the reference point lies this share of the evaluated range beyond the worst


class Surrogate:
    """Proposes the candidates of largest expected hypervolume gain by an ensemble predictor."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.space = problem.space
        self.rng = rng
        self.prices = Prices(problem)
        self.expensive = [i for i, objective in enumerate(problem.objectives) if objective.expensive]
        self.seen: set[Genome] = set()
        self.genomes = as_genomes(self.space, [])  # that were evaluated
        self.costs = np.empty((0, len(problem.objectives)))  # not finite where the evaluation failed
        self.predictors: dict[int, Predictor] = {}  # by the index of the objective
        self.pool = self.genomes  # population of the last evolution

    def ask(self, n: int) -> np.ndarray:
        """Propose n genomes never proposed or told before, int [n, genes]; fewer when the space is exhausted."""
        with threadpool_limits(1, "blas"):  # sums then do not depend on the number of threads, and small ones are fast
            genomes = self.propose(n)
        rest = sample_unseen(self.space, self.rng, self.seen | set(as_tuples(genomes)), n - len(genomes))
        genomes = np.concatenate([genomes, rest])
        self.seen.update(as_tuples(genomes))
        return genomes

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Learn the costs of feasible genomes; a failed one counts as bad."""
        self.seen.update(as_tuples(genomes))
        _, excess = self.prices(genomes)
        evaluated = excess == 0
        learned = np.where((violations == 0)[:, None], costs, np.inf)
        self.genomes = np.concatenate([self.genomes, genomes[evaluated]])
        self.costs = np.concatenate([self.costs, learned[evaluated]])

    def predict(self, genomes: np.ndarray) -> np.ndarray | None:
        """Predict costs of genomes [n, genes], float [n, objectives]; None before the first predictor is fitted."""
        if self.expensive and not self.predictors:
            return None
        with threadpool_limits(1, "blas"):
            return self.expect(genomes)[0]

    def expect(self, genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return expected costs [n, objectives], their standard deviations (0 where exact) and exact violations [n]."""
        costs, excess = self.prices(genomes)
        deviations = np.zeros_like(costs)
        for i in self.expensive:
            costs[:, i], deviations[:, i] = self.predictors[i].predict(genomes)
        return costs, deviations, excess

    def propose(self, n: int) -> np.ndarray:
        """Choose up to n unseen genomes, int [k, genes]: a first design, or the best by prediction and some others."""
        if n <= 0:
            return self.genomes[:0]
        sound = np.asarray(np.isfinite(self.costs).all(axis=1))
        if sound.sum() < DESIGN:
            return first_design(self.prices, self.rng, self.seen, n)
        self.fit(sound)
        front = np.flatnonzero(sound)[non_dominated(self.costs[sound])]
        start = np.concatenate([self.pool, sample_unseen(self.space, self.rng, self.seen, SIZE // 4)])
        optimism = OPTIMISM[self.rng.integers(len(OPTIMISM))]

        def hope(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            costs, deviations, excess = self.expect(genomes)
            return costs - optimism * deviations, excess

        self.pool, _, _ = evolve(
            self.space,
            self.rng,
            hope,
            self.genomes[front],
            start,
            self.seen,
            size=SIZE,
            num_children=CHILDREN,
            generations=GENERATIONS,
        )
        num_explored = int(EXPLORATION * n + self.rng.random())
        exploited = self.exploit(self.costs[front], self.costs[sound], n - num_explored)
        explored = self.explore(self.genomes[front], self.seen | set(as_tuples(exploited)), num_explored)
        chosen = np.concatenate([exploited, explored])
        return np.concatenate([chosen, unmet(self.space, self.pool, set(as_tuples(chosen)))])[:n]

    def exploit(self, front: np.ndarray, evaluated: np.ndarray, n: int) -> np.ndarray:
        """Choose up to n of the pool by the hypervolume they are expected to add to the costs of the front."""
        costs, deviations, excess = self.expect(self.pool)
        feasible = np.flatnonzero(excess == 0)
        views = costs[feasible] + VIEWS[:, None, None] * deviations[feasible]
        worst, best = evaluated.max(axis=0), evaluated.min(axis=0)
        reference = worst + MARGIN * (worst - best)
        return self.pool[feasible[greedy_gains(views, WEIGHTS, front, reference, n)]]

    def fit(self, sound: np.ndarray) -> None:
        """Fit a predictor for each expensive objective; a failed evaluation counts as the worst value seen."""
        for i in self.expensive:
            worst = self.costs[sound, i].max()
            targets = np.where(sound, self.costs[:, i], worst)
            self.predictors[i] = fit_predictor(self.space, self.genomes, targets, self.predictors.get(i))

    def explore(self, front: np.ndarray, seen: set[Genome], n: int) -> np.ndarray:
        """Choose up to n unseen feasible genomes without prediction: neighbours of the front, and random ones."""
        met = set(seen)
        parents = front[self.rng.integers(len(front), size=TRIES)]
        neighbours = self.feasible(unmet(self.space, mutate(self.space, parents, self.rng), met))
        drawn = self.feasible(sample_unseen(self.space, self.rng, met, TRIES))
        num_drawn = int(n / 3 + self.rng.random())
        return np.concatenate([drawn[:num_drawn], neighbours, drawn[num_drawn:]])[:n]

    def feasible(self, genomes: np.ndarray) -> np.ndarray:
        """Return the genomes [n, genes] that hold all constraints."""
        return genomes[self.prices(genomes)[1] == 0]
