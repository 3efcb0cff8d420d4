"""Racing: a share such as an accuracy is counted on growing parts of a split, and losers are stopped early.

After Maron and Moore 1994, "Hoeffding races", with Wilson's interval of a share instead of Hoeffding's bound. A stopped
candidate is dominated, with confidence, by an evaluation that saw the whole split. Its estimate lies below its bound,
so it is never in the front: all members of a front have seen everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.search.pareto import dominate
from nas.search.problem import Objective, share_name, values_of

CONFIDENCE = 3.0  # standard deviations: one stop in 740 is wrong, if the parts were drawn at random


def race(
    objectives: Sequence[Objective], candidate: Any, prices: Mapping[str, float], rivals: np.ndarray
) -> dict[str, float]:
    """Evaluate the expensive objectives of one candidate, the staged one last and until it is beaten or complete.

    `prices` holds the cheap objectives, `rivals` [k, objectives] the costs of complete evaluations. Gives the values
    and, by the name of `share_name`, the share of the split that the staged one saw.
    """
    found = {
        each.name: float(values_of(each.name, each.evaluate, [candidate])[0])
        for each in objectives
        if each.expensive and each.stages is None
    }
    for each in objectives:
        for stage, share in enumerate(each.stages.shares if each.stages else ()):
            assert each.stages is not None
            correct, total = each.stages.count(candidate, stage)
            found |= {each.name: correct / total, share_name(each): share}
            likely = {**prices, **found, each.name: best_share(correct, total, share, each.sign)}
            hopeful = np.array([other.sign * likely[other.name] for other in objectives])
            if share < 1 and dominate(rivals, hopeful).any():
                break
    return found


def best_share(correct: float, total: float, part: float, sign: float) -> float:
    """Best share of the whole split that is still likely when `correct` of the `total` in this part of it are right.

    Wilson's bound (1927), the upper one for a maximum (sign -1), the lower one for a minimum. What was counted is known
    exactly, so the sample counts as total / (1 - part) draws: the correction for a finite population.
    """
    share = correct / total
    z2_n = CONFIDENCE**2 * (1 - part) / total
    half = math.sqrt(z2_n * share * (1 - share) + z2_n**2 / 4)
    return (share + z2_n / 2 - sign * half) / (1 + z2_n)
