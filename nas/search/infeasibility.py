"""Why a search found nothing: every evaluation failed, a limit is out of reach, or limits exclude each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nas.errors import NasError
from nas.search.design import descend
from nas.search.pricing import Prices
from nas.search.problem import Constraint, Evaluation, Objective, Problem

STARTS = 3  # rejected candidates from which the smallest value of a figure is looked for


def nothing_found(
    problem: Problem, evaluations: Sequence[Evaluation], rejected: Mapping[tuple[int, ...], Mapping[str, float]]
) -> NasError:
    """Return the reason why there is no front: the limit that binds and the smallest value that can be reached.

    `rejected` maps rejected genomes to their cheap figures.
    """
    if evaluations:
        names = sorted(
            {
                name
                for evaluation in evaluations
                for name, value in evaluation.metrics.items()
                if not math.isfinite(value)
            }
        )
        message = f"all {len(evaluations)} evaluations failed: {', '.join(names)} not finite"
        return NasError(message, "Check that a single candidate can be evaluated")
    least = {constraint.name: reachable(problem, constraint, rejected) for constraint in problem.constraints}

    def relative_excess(constraint: Constraint) -> float:
        return (least[constraint.name] - constraint.at_most) / (abs(constraint.at_most) or 1)

    binding = max(problem.constraints, key=relative_excess)
    limit, low = f"{binding.name} <= {binding.at_most:g}", least[binding.name]
    if low > binding.at_most:
        message = f"none of {len(rejected)} candidates has {limit}: the smallest {binding.name} found is {low:g}"
        return NasError(message, f"Raise the limit of {binding.name} above that")
    limits = " and ".join(f"{constraint.name} <= {constraint.at_most:g}" for constraint in problem.constraints)
    smallest = ", ".join(f"{name} {value:g}" for name, value in least.items())
    message = f"none of {len(rejected)} candidates has {limits}" + (" together" if len(least) > 1 else "")
    return NasError(message, f"Loosen one; smallest found, each for itself: {smallest}")


def reachable(
    problem: Problem, constraint: Constraint, rejected: Mapping[tuple[int, ...], Mapping[str, float]]
) -> float:
    """Return the smallest value of a constraint's figure, by descent from the best rejected candidates.

    The limit itself is ignored. The value is exact where the figure is a sum over genes; infinite where all are NaN.
    """
    figure = Objective(constraint.name, "min", constraint.evaluate, False, constraint.evaluate_genomes)
    prices = Prices(Problem(problem.space, (figure,)))
    order = sorted(
        (row[constraint.name], genome) for genome, row in rejected.items() if not math.isnan(row[constraint.name])
    )
    ends = [descend(prices, np.array(genome), 0, 1.0) for _, genome in order[:STARTS]]
    return min((float(prices(end[None])[0][0, 0]) for end in ends), default=math.inf)
