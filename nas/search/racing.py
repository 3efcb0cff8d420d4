"""Racing: a share such as an accuracy is counted on growing parts of a split, and losers are stopped early.

After Maron and Moore 1994, "Hoeffding races", with Wilson's interval of a share instead of Hoeffding's bound. A stopped
candidate is dominated, with confidence, by an evaluation that saw the whole split. Its estimate lies below its bound,
so it is never in the front: all members of a front have seen everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.search.pareto import dominate
from nas.search.problem import Counts, Objective, share_name, values_of

CONFIDENCE = 3.0  # standard deviations: one stop in 740 is wrong, if the parts were drawn at random


@dataclass(frozen=True, slots=True)
class Job:
    """A candidate to evaluate, and what its race is decided by.

    `prices` are its cheap figures; `signs` give every objective's sign, in order; `rivals` [k, objectives] are the
    costs of complete evaluations; `counted` is what an earlier evaluation has counted already.
    """

    candidate: Any
    prices: Mapping[str, float]
    signs: Mapping[str, float]
    rivals: np.ndarray
    counted: Counts = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Values of the expensive objectives of a job, what was counted for the staged one, and how long it took."""

    values: Mapping[str, float]
    counted: Counts
    seconds: float


Workers = Callable[[Sequence[Job]], Iterator[Outcome]]  # outcomes in the order of the jobs


def one_by_one(expensive: Sequence[Objective], clock: Callable[[], float]) -> Workers:
    """Return workers that evaluate jobs in this process, each when its outcome is taken."""
    return lambda jobs: (race(expensive, job, clock) for job in jobs)


def race(expensive: Sequence[Objective], job: Job, clock: Callable[[], float]) -> Outcome:
    """Evaluate the expensive objectives of one job, the staged one last and until it is beaten or complete.

    The values have, by the name of `share_name`, the share of the split that the staged one saw. A candidate that
    runs out of memory has failed: its values are NaN.
    """
    start = clock()
    counted: Counts = ()
    try:
        values = {
            objective.name: float(values_of(objective.name, objective.evaluate, [job.candidate])[0])
            for objective in expensive
            if objective.stages is None
        }
        for objective in expensive:
            if objective.stages is not None:
                counted = run_stages(objective, job, values)
    except MemoryError:
        values = failed_values(expensive)
    return Outcome(values, counted, clock() - start)


def failed_values(expensive: Sequence[Objective]) -> dict[str, float]:
    """Return the values of a candidate that could not be evaluated."""
    shares = {share_name(objective): 0.0 for objective in expensive if objective.stages is not None}
    return {**{objective.name: math.nan for objective in expensive}, **shares}


def run_stages(objective: Objective, job: Job, values: dict[str, float]) -> Counts:
    """Count part after part until the candidate is beaten or complete, and add share and value to `values`."""
    assert objective.stages is not None
    counted = job.counted
    correct = total = 0.0
    for stage, share in enumerate(objective.stages.shares):
        if stage == len(counted):
            counted = (*counted, objective.stages.count(job.candidate, stage))
        correct, total = correct + counted[stage][0], total + counted[stage][1]
        values |= {objective.name: correct / total, share_name(objective): share}
        likely = {**job.prices, **values, objective.name: best_share(correct, total, share, objective.sign)}
        hopeful = np.array([sign * likely[name] for name, sign in job.signs.items()])
        if math.isnan(correct) or (share < 1 and dominate(job.rivals, hopeful).any()):
            break
    return counted


def best_share(correct: float, total: float, part: float, sign: float) -> float:
    """Return the best likely share of the whole split where `correct` of the `total` in this part are right.

    Wilson's bound (1927), the upper one for a maximum (sign -1), the lower one for a minimum. What was counted is known
    exactly, so the sample counts as total / (1 - part) draws: the correction for a finite population.
    """
    share = correct / total
    z2_n = CONFIDENCE**2 * (1 - part) / total
    half = math.sqrt(z2_n * share * (1 - share) + z2_n**2 / 4)
    return (share + z2_n / 2 - sign * half) / (1 + z2_n)
