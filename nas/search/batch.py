"""One batch: price every candidate, evaluate the feasible ones, replay what an earlier run has measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import NasError
from nas.search.problem import Evaluation, Genome, Problem, as_tuples, costs_of, price, share_name, violations
from nas.search.racing import Job, Outcome, Workers, failed_values

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Batch:
    """Priced genomes [k, genes], of which workers hold the feasible ones; `predicted` are their costs, if known."""

    genomes: np.ndarray
    candidates: list[Any]
    prices: list[dict[str, float]]
    excess: np.ndarray
    sent: frozenset[int]
    outcomes: Iterator[Outcome]
    predicted: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Return the number of evaluations that it needs."""
        return int((self.excess == 0).sum())


def submit(
    problem: Problem,
    genomes: np.ndarray,
    rivals: np.ndarray,
    known: Mapping[Genome, Metrics],
    workers: Workers,
    predicted: np.ndarray | None = None,
) -> Batch:
    """Price genomes [k, genes] and submit the feasible ones that are not `known` to `workers`.

    `rivals` [r, objectives] are the costs that a staged objective races against.
    """
    candidates = [problem.space.decode(genome) for genome in genomes]
    columns = price(problem, candidates)
    prices = [{name: float(values[i]) for name, values in columns.items()} for i in range(len(candidates))]
    excess = violations(problem.constraints, columns, len(candidates))
    keys = as_tuples(genomes)
    signs = {objective.name: objective.sign for objective in problem.objectives}
    sent = [i for i in np.flatnonzero(excess == 0).tolist() if keys[i] not in known and sound(prices[i])]
    outcomes = iter(workers([Job(candidates[i], prices[i], signs, rivals) for i in sent]))
    return Batch(genomes, candidates, prices, excess, frozenset(sent), outcomes, predicted)


def collect(
    problem: Problem, batch: Batch, known: Mapping[Genome, Metrics], note: Callable[[Evaluation], None]
) -> tuple[np.ndarray, np.ndarray, dict[Genome, Metrics]]:
    """Wait for a batch and pass each evaluation to `note`, in order.

    Return costs [k, objectives], violations [k] (infinite where an evaluation failed) and the cheap figures of the
    infeasible genomes.
    """
    excess, keys = batch.excess.copy(), as_tuples(batch.genomes)
    costs = np.full((len(keys), len(problem.objectives)), np.inf)
    rejected: dict[Genome, Metrics] = {keys[i]: batch.prices[i] for i in np.flatnonzero(excess)}
    for i in np.flatnonzero(excess == 0).tolist():
        if i in batch.sent:
            outcome = next(batch.outcomes)
            values, seconds = outcome.values, outcome.seconds
        else:
            values, seconds = replayed(problem, keys[i], known), 0.0
        evaluation = Evaluation(keys[i], batch.candidates[i], {**batch.prices[i], **values}, seconds)
        note(evaluation)
        if evaluation.failed:
            excess[i] = np.inf
        else:
            costs[i] = costs_of(problem.objectives, [evaluation])[0]
    return costs, excess, rejected


def replayed(problem: Problem, genome: Genome, known: Mapping[Genome, Metrics]) -> dict[str, float]:
    """Return expensive values without an evaluation: from `known`, or NaN where a cheap figure is not finite."""
    names = [objective.name for objective in problem.expensive]
    if genome not in known:
        return failed_values(problem.expensive)
    if missing := set(names) - known[genome].keys():
        hint = "Resume with the objectives that the search was started with"
        raise NasError(f"the earlier run has no {', '.join(sorted(missing))} of genome {genome}", hint)
    metrics = known[genome]
    shares = {share_name(staged): float(metrics.get(share_name(staged), 1.0)) for staged in problem.staged}
    return {**{name: float(metrics[name]) for name in names}, **shares}


def sound(prices: Metrics) -> bool:
    """Whether every cheap figure is finite."""
    return all(math.isfinite(value) for value in prices.values())
