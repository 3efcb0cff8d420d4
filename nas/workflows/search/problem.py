"""What a search is asked: high accuracy and low latency, within limits on cheap figures."""

from __future__ import annotations

from nas.hardware.table.latency_table import LatencyTable
from nas.run.search_settings import Limits
from nas.search.problem import Constraint, Evaluate, Objective, Problem
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace


def problem_of(table: LatencyTable, limits: Limits, accuracy: Objective) -> Problem:
    """Return the problem of a search with `table`, over the space of the table."""

    def latency_of(architectures: list[Architecture]) -> list[float]:
        return [table.predict(architecture).ms for architecture in architectures]

    latency = Objective("latency_ms", "min", latency_of, evaluate_genomes=table.predict_many)
    constraints = constraints_of(limits, table, latency_of)
    return Problem(table.space, (accuracy, latency), tuple(constraints))


def constraints_of(limits: Limits, table: LatencyTable, latency_of: Evaluate) -> list[Constraint]:
    """Return a constraint for each limit on a cheap figure; `latency_of` is shared with the objective."""
    constraints = []
    if limits.max_latency_ms is not None:
        constraints.append(Constraint("latency_ms", limits.max_latency_ms, latency_of, table.predict_many))
    if limits.max_params is not None:
        constraints.append(Constraint("num_params", limits.max_params, cost_figure(table.space, "num_params")))
    if limits.max_size_bytes is not None:
        constraints.append(Constraint("size_bytes", limits.max_size_bytes, cost_figure(table.space, "size_bytes")))
    return constraints


def cost_figure(space: SearchSpace, name: str) -> Evaluate:
    """Return a function from architectures to one figure of their cost."""

    def evaluate(architectures: list[Architecture]) -> list[float]:
        return [float(getattr(architecture_cost(network, space.num_classes), name)) for network in architectures]

    return evaluate
