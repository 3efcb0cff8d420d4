"""What a candidate costs before anything expensive is evaluated: exact, and fast enough for ten thousands."""

from __future__ import annotations

import numpy as np

from nas.search.problem import Genome, Problem, as_tuples, cheap_figures, values_of, violations


class Prices:
    """Prices genomes of a problem, each genome once: cheap costs, and by how much the constraints are violated.

    A figure with `evaluate_genomes` is computed for all genomes at once, every other by decoding the new ones.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.space = problem.space
        self.figures = cheap_figures(problem)
        self.decoded = {name: figure for name, figure in self.figures.items() if figure.evaluate_genomes is None}
        self.known: dict[Genome, tuple[float, ...]] = {}

    def figures_of(self, genomes: np.ndarray) -> dict[str, np.ndarray]:
        """Return every cheap figure of canonical genomes [n, genes] in its own unit: name -> float [n]."""
        if not len(genomes):
            return {name: np.zeros(0) for name in self.figures}
        columns = {
            name: values_of(name, figure.evaluate_genomes, genomes)
            for name, figure in self.figures.items()
            if figure.evaluate_genomes is not None
        }
        if self.decoded:
            keys = as_tuples(genomes)
            new = [key for key in dict.fromkeys(keys) if key not in self.known]
            candidates = [self.space.decode(np.array(key, dtype=np.int64)) for key in new]
            if new:
                values = [values_of(name, figure.evaluate, candidates) for name, figure in self.decoded.items()]
                self.known.update(zip(new, zip(*(column.tolist() for column in values), strict=True), strict=True))
            rows = np.array([self.known[key] for key in keys]).reshape(len(keys), len(self.decoded))
            columns.update(zip(self.decoded, rows.T, strict=True))
        return columns

    def __call__(self, genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return costs [n, objectives], NaN where the objective is expensive, and violations [n] of genomes [n, genes].

        A violation is 0 where all constraints hold; it is infinite where a cheap figure is not finite.
        """
        columns = self.figures_of(genomes)
        costs = np.full((len(genomes), len(self.problem.objectives)), np.nan)
        for i, objective in enumerate(self.problem.objectives):
            if not objective.expensive:
                costs[:, i] = objective.sign * columns[objective.name]
        excess = violations(self.problem.constraints, columns, len(genomes))
        cheap = [not objective.expensive for objective in self.problem.objectives]
        excess[~np.isfinite(costs[:, cheap]).all(axis=1)] = np.inf
        return costs, excess
