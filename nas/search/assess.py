"""One batch: price every candidate, evaluate the feasible ones, replay what an earlier run has measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from nas.errors import NasError
from nas.search.problem import Evaluation, Genome, Problem, as_tuples, costs_of, price, share_name, violations
from nas.search.racing import Job, Workers, failed_values

Metrics = Mapping[str, float]


def assess(
    problem: Problem,
    genomes: np.ndarray,
    rivals: np.ndarray,
    known: Mapping[Genome, Metrics],
    note: Callable[[Evaluation], None],
    workers: Workers,
) -> tuple[np.ndarray, np.ndarray, dict[Genome, Metrics]]:
    """Price genomes [k, genes] and let `workers` evaluate the feasible ones, each passed to `note` in order.

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
    feasible = np.flatnonzero(excess == 0)
    signs = {objective.name: objective.sign for objective in problem.objectives}
    unknown = [i for i in feasible if keys[i] not in known and sound(prices[i])]
    outcomes = iter(workers([Job(candidates[i], prices[i], signs, rivals) for i in unknown]))
    for i in feasible:
        if i in unknown:
            outcome = next(outcomes)
            values, seconds = outcome.values, outcome.seconds
        else:
            values, seconds = replayed(problem, keys[i], known), 0.0
        evaluation = Evaluation(keys[i], candidates[i], {**prices[i], **values}, seconds)
        note(evaluation)
        if evaluation.failed:
            excess[i] = np.inf
        else:
            costs[i] = costs_of(problem.objectives, [evaluation])[0]
    return costs, excess, turned_down


def replayed(problem: Problem, genome: Genome, known: Mapping[Genome, Metrics]) -> dict[str, float]:
    """Expensive values that need no evaluation: from `known` if there, else NaN, as a cheap figure has failed."""
    names = [objective.name for objective in problem.expensive]
    if genome not in known:
        return failed_values(problem.expensive)
    if missing := set(names) - known[genome].keys():
        hint = "Resume with the objectives that the search was started with"
        raise NasError(f"the earlier run has no {', '.join(sorted(missing))} of genome {genome}", hint)
    shares = {share_name(each): float(known[genome].get(share_name(each), 1.0)) for each in problem.staged}
    return {**{name: float(known[genome][name]) for name in names}, **shares}


def sound(prices: Metrics) -> bool:
    """True where every cheap figure is finite."""
    return all(math.isfinite(value) for value in prices.values())
