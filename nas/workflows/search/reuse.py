"""What the search for one device reuses of the searches for others: evaluations that need not be made again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.hardware.table.latency_table import LatencyTable
from nas.search.problem import Evaluation, SearchResult
from nas.space.architecture import Architecture
from nas.statistics import kendall_tau

OWN = 0.05  # share of its budget that a device has for itself at least


def reused(
    earlier: Sequence[tuple[LatencyTable, SearchResult]], table: LatencyTable, budget: int
) -> list[Architecture]:
    """Return architectures whose accuracy an earlier search knows, for the first batch of the search with `table`.

    Devices that order networks alike have nearly the same front, so that little is left to find: all but the share OWN
    of the budget comes from earlier searches. The less alike, by Kendall's tau of the latencies, the fewer do. Members
    of fronts come first. An architecture whose bit-widths a device cannot run is not reused there.
    """
    fronts = [evaluation.candidate for _, result in earlier for evaluation in result.front]
    whole = [evaluation.candidate for _, result in earlier for evaluation in result.evaluations if is_whole(evaluation)]
    known = [architecture for architecture in dict.fromkeys([*fronts, *whole]) if architecture in table.space]
    alike = max((likeness(other, table, known) for other, _ in earlier), default=0.0)
    return known[: int(budget * min(1 - OWN, alike))]


def is_whole(evaluation: Evaluation) -> bool:
    """Whether an evaluation saw the whole split, and did not fail."""
    return evaluation.metrics["accuracy_share"] == 1.0 and not evaluation.failed


def likeness(one: LatencyTable, other: LatencyTable, architectures: Sequence[Architecture]) -> float:
    """Return Kendall's tau of the latencies of architectures by two tables; 0 where it is negative or not defined.

    Only architectures that both devices can run are compared.
    """
    both = [architecture for architecture in architectures if architecture in one.space and architecture in other.space]
    first, second = (np.array([table.predict(architecture).ms for architecture in both]) for table in (one, other))
    tau = kendall_tau(first, second)
    return tau if tau > 0 else 0.0
