"""The tree-structured Parzen estimator of optuna (Ozaki et al. 2022, for several objectives) by ask and tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.search.design import draw_feasible
from nas.search.pricing import Prices
from nas.search.problem import Genome, Problem, as_genomes, as_tuples, canonical

MISSES = 20  # seen or infeasible samples in a row, before random feasible genomes fill the batch


class Tpe:
    """Proposes optuna's samples that are new and feasible; infeasible ones are told to optuna by their violation."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        import optuna

        self.optuna = optuna
        self.space = problem.space
        self.rng = rng
        self.prices = Prices(problem)
        self.seen: set[Genome] = set()
        self.running: dict[Genome, Any] = {}  # proposed, not yet told
        self.choices: dict[str, Any] = {
            f"{gene:04d}": optuna.distributions.CategoricalDistribution(range(cardinality))
            for gene, cardinality in enumerate(self.space.cardinalities)
        }
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            directions=["minimize"] * len(problem.objectives),
            sampler=optuna.samplers.TPESampler(seed=int(rng.integers(2**32))),
        )

    def ask(self, n: int) -> np.ndarray:
        """Propose n genomes never proposed or told before, int [n, genes]; fewer when the space is exhausted."""
        samples: list[Genome] = []
        misses = 0
        while len(samples) < n and misses < MISSES:
            genome = self.sample()
            misses = misses + 1 if genome is None else 0
            if genome is not None:
                samples.append(genome)
                self.seen.add(genome)
        rest = draw_feasible(self.prices, self.rng, self.seen, n - len(samples))
        self.seen.update(as_tuples(rest))
        return np.concatenate([as_genomes(self.space, samples), rest])

    def sample(self) -> Genome | None:
        """Sample once; None where the genome was seen before or is infeasible."""
        trial = self.study.ask(self.choices)
        drawn = as_genomes(self.space, [[trial.params[name] for name in self.choices]])
        genome = canonical(self.space, drawn)
        key = as_tuples(genome)[0]
        if key in self.seen:
            self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
            return None
        excess = float(self.prices(genome)[1][0])
        if excess > 0:
            trial.set_constraint("excess", min(excess, np.finfo(float).max))
            self.study.tell(trial, [0.0] * len(self.study.directions))  # of an infeasible trial the values are not read
            return None
        trial.set_constraint("excess", 0.0)
        self.running[key] = trial
        return key

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Pass the costs of feasible genomes to optuna, its own samples and others, and failures as failures."""
        self.seen.update(as_tuples(genomes))
        fails = self.optuna.trial.TrialState.FAIL
        for genome, cost, excess in zip(as_tuples(genomes), costs.tolist(), violations.tolist(), strict=True):
            trial = self.running.pop(genome, None)
            if trial is not None:
                self.study.tell(trial, cost if excess == 0 else None, state=None if excess == 0 else fails)
            elif excess == 0:
                params = dict(zip(self.choices, genome, strict=True))
                added = self.optuna.trial.create_trial(
                    params=params, distributions=self.choices, values=cost, constraints={"excess": 0.0}
                )
                self.study.add_trial(added)
