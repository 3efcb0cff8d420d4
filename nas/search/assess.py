"""One batch: price every candidate, evaluate the feasible ones, replay what an earlier run has measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nas.errors import NasError
from nas.search.problem import Evaluation, Genome, Problem, as_tuples, costs_of, price, share_name, violations
from nas.search.racing import race

Metrics = Mapping[str, float]


def assess(
    problem: Problem,
    genomes: np.ndarray,
    rivals: np.ndarray,
    known: Mapping[Genome, Metrics],
    note: Callable[[Evaluation], None],
    clock: Callable[[], float],
) -> tuple[np.ndarray, np.ndarray, dict[Genome, Metrics]]:
    """Price genomes [k, genes] and evaluate the feasible ones, each passed to `note` before the next begins.

    `rivals` [r, objectives] are the costs that a staged objective races against. Returns costs [k, objectives],
    violations [k] (infinite where an evaluation failed) and the cheap figures of the infeasible genomes.
    """
    candidates = [problem.space.decode(genome) for genome in genomes]
    columns = price(problem, candidates)
    prices = [{name: float(values[i]) for name, values in columns.items()} for i in range(len(candidates))]
    excess = violations(problem.constraints, columns, len(candidates))
    costs = np.full((len(candidates), len(problem.objectives)), np.inf)
    keys = as_tuples(genomes)
    turned_down: dict[Genome, Metrics] = {keys[i]: prices[i] for i in np.flatnonzero(excess)}
    for i in np.flatnonzero(excess == 0):
        evaluation = evaluate(problem, keys[i], candidates[i], prices[i], rivals, known, clock)
        note(evaluation)
        if evaluation.failed:
            excess[i] = np.inf
        else:
            costs[i] = costs_of(problem.objectives, [evaluation])[0]
    return costs, excess, turned_down


def evaluate(
    problem: Problem,
    genome: Genome,
    candidate: Any,
    prices: Metrics,
    rivals: np.ndarray,
    known: Mapping[Genome, Metrics],
    clock: Callable[[], float],
) -> Evaluation:
    """Add the expensive values to the cheap ones: from `known` if there, NaN if a cheap one has failed already."""
    names = [objective.name for objective in problem.expensive]
    if genome in known:
        if missing := set(names) - known[genome].keys():
            hint = "Resume with the objectives that the search was started with"
            raise NasError(f"the earlier run has no {', '.join(sorted(missing))} of genome {genome}", hint)
        shares = {share_name(each): known[genome].get(share_name(each), 1.0) for each in problem.staged}
        values = {name: float(known[genome][name]) for name in names}
        return Evaluation(genome, candidate, {**prices, **values, **shares}, 0.0)
    if not all(math.isfinite(value) for value in prices.values()):
        shares = {share_name(each): 0.0 for each in problem.staged}
        return Evaluation(genome, candidate, {**prices, **dict.fromkeys(names, math.nan), **shares}, 0.0)
    start = clock()
    values = race(problem.objectives, candidate, prices, rivals)
    return Evaluation(genome, candidate, {**prices, **values}, clock() - start)
