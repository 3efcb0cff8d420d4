"""What a search was worth: against plain searches with as many evaluations, and what became of each evaluation."""

from __future__ import annotations

from collections.abc import Sequence, Set

from nas.files import JsonObject
from nas.run.search_settings import SearchSettings
from nas.search.baselines import baseline_hypervolumes
from nas.search.problem import Problem, SearchResult
from nas.space.architecture import Architecture


def search_quality(
    problem: Problem,
    result: SearchResult,
    initial: Sequence[Sequence[int]],
    settings: SearchSettings,
    searched: Set[Architecture],
) -> JsonObject:
    """Return the figures that front.json holds; nothing is evaluated.

    `control` maps plain algorithms to the hypervolume that a predictor expects of them, `control_history` to its growth
    as pairs of a number of evaluations and the hypervolume then. `searched` were evaluated for another device before.
    """
    histories = baseline_hypervolumes(problem, result, initial=initial, batch=settings.batch, seed=settings.seed)
    return {
        "hypervolume": result.hypervolume_history[-1][1],
        "control": {name: history[-1][1] for name, history in histories.items()},
        "control_history": {name: [list(point) for point in history] for name, history in histories.items()},
        "num_evaluations": len(result.evaluations),
        "num_shared": sum(evaluation.candidate in searched for evaluation in result.evaluations),
        "num_wasted": result.num_wasted,
        "order_right": result.order_right,
        "saved_share": result.saved_share,
    }
