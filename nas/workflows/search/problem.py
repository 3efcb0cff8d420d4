"""What a search is asked: accuracy and latency, within limits on cheap figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.hardware.table.latency_table import LatencyTable
from nas.search.problem import Constraint, Objective, Problem
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a chosen network must keep to; None: no limit."""

    max_latency_ms: float | None = None
    max_params: float | None = None
    max_size_bytes: float | None = None
    min_accuracy: float | None = None


def problem_of(space: SearchSpace, table: LatencyTable, limits: Limits, accuracy: Objective) -> Problem:
    """Ask for high accuracy and low latency within the limits."""

    def latency_of(architectures: list[Architecture]) -> list[float]:
        return [table.predict(architecture).ms for architecture in architectures]

    latency = Objective("latency_ms", "min", latency_of, evaluate_genomes=table.predict_many)
    return Problem(space, (accuracy, latency), tuple(constraints_of(limits, space, table, latency_of)))


def constraints_of(
    limits: Limits, space: SearchSpace, table: LatencyTable, latency_of: Callable[[list[Architecture]], list[float]]
) -> list[Constraint]:
    """Turn the limits on cheap figures into constraints; `latency_of` is shared with the objective."""

    def params(candidates: list[Architecture]) -> list[float]:
        return [float(architecture_cost(each, space.num_classes).num_params) for each in candidates]

    def size(candidates: list[Architecture]) -> list[float]:
        return [float(architecture_cost(each, space.num_classes).size_bytes) for each in candidates]

    found = []
    if limits.max_latency_ms is not None:
        found.append(Constraint("latency_ms", limits.max_latency_ms, latency_of, table.predict_many))
    if limits.max_params is not None:
        found.append(Constraint("num_params", limits.max_params, params))
    if limits.max_size_bytes is not None:
        found.append(Constraint("size_bytes", limits.max_size_bytes, size))
    return found
