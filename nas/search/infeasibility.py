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
    """Say why there is no front, with the limit that binds and the smallest value that can be reached.

    `rejected` maps the genomes turned down to their cheap figures.
    """
    if evaluations:
        names = sorted({name for each in evaluations for name, x in each.metrics.items() if not math.isfinite(x)})
        message = f"all {len(evaluations)} evaluations failed: {', '.join(names)} not finite"
        return NasError(message, "Check that a single candidate can be evaluated")
    least = {each.name: reachable(problem, each, rejected) for each in problem.constraints}
    binding = max(problem.constraints, key=lambda each: (least[each.name] - each.at_most) / (abs(each.at_most) or 1))
    limit, low = f"{binding.name} <= {binding.at_most:g}", least[binding.name]
    if low > binding.at_most:
        message = f"none of {len(rejected)} candidates has {limit}: the smallest {binding.name} found is {low:g}"
        return NasError(message, f"Raise the limit of {binding.name} above that")
    limits = " and ".join(f"{each.name} <= {each.at_most:g}" for each in problem.constraints)
    found = ", ".join(f"{name} {value:g}" for name, value in least.items())
    message = f"none of {len(rejected)} candidates has {limits}" + (" together" if len(least) > 1 else "")
    return NasError(message, f"Loosen one; smallest found, each for itself: {found}")


def reachable(
    problem: Problem, constraint: Constraint, rejected: Mapping[tuple[int, ...], Mapping[str, float]]
) -> float:
    """Smallest value of a constraint's figure that descent from the best rejected candidates finds, its limit apart.

    Exact where the figure is a sum over genes. Infinite where no value is a number.
    """
    figure = Objective(constraint.name, "min", constraint.evaluate, False, constraint.evaluate_genomes)
    prices = Prices(Problem(problem.space, (figure,)))
    order = sorted(
        (row[constraint.name], genome) for genome, row in rejected.items() if not math.isnan(row[constraint.name])
    )
    ends = [descend(problem.space, prices, np.array(genome), 0, 1.0) for _, genome in order[:STARTS]]
    return min((float(prices(end[None])[0][0, 0]) for end in ends), default=math.inf)
