"""One line per judged architecture: what `evaluations.jsonl`, `front.csv` and `presets.csv` hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nas.hardware.latency_table import LatencyTable
from nas.search.pareto import non_dominated
from nas.search.problem import Evaluation, Genome
from nas.search.racing import Counts
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace

COLUMNS = (
    *("id", "accuracy", "latency_ms", "latency_low_ms", "latency_high_ms", "latency_measured_ms", "provenance"),
    *("num_params", "macs", "size_bytes", "bitops", "resolution", "feasible", "architecture"),
)


def row_of(
    architecture: Architecture, accuracy: float, table: LatencyTable, space: SearchSpace, feasible: bool = True
) -> dict[str, Any]:
    """Put an architecture's accuracy beside its predicted latency and its costs."""
    latency = table.predict(architecture)
    cost = architecture_cost(architecture, space.num_classes)
    return {
        "id": architecture.id,
        "accuracy": accuracy,
        "latency_ms": latency.ms,
        "latency_low_ms": latency.low_ms,
        "latency_high_ms": latency.high_ms,
        "latency_measured_ms": None,  # a search predicts; whole networks are measured by finetune and compare
        "provenance": latency.provenance,
        "num_params": cost.num_params,
        "macs": cost.macs,
        "size_bytes": cost.size_bytes,
        "bitops": cost.bitops,
        "resolution": architecture.resolution,
        "feasible": feasible,
        "architecture": architecture.to_json(),
    }


def evaluation_row(evaluation: Evaluation, counted: Counts, table: LatencyTable, space: SearchSpace) -> dict[str, Any]:
    """Write an evaluation down for a later --resume: its row, and what was counted in each part of the split."""
    metrics = evaluation.metrics
    row = row_of(evaluation.candidate, metrics["accuracy"], table, space)
    return {**row, "accuracy_share": metrics["accuracy_share"], "counted": [list(part) for part in counted]}


def counted_of(rows: Iterable[Mapping[str, Any]]) -> dict[Architecture, Counts]:
    """What recorded evaluations have counted."""
    return {
        Architecture.from_json(row["architecture"]): tuple((right, count) for right, count in row["counted"])
        for row in rows
        if "counted" in row
    }


def metrics_of(rows: Iterable[Mapping[str, Any]], space: SearchSpace) -> dict[Genome, dict[str, float]]:
    """The measured figures of recorded evaluations, by genome."""
    return {
        tuple(space.encode(Architecture.from_json(row["architecture"])).tolist()): {
            "accuracy": row["accuracy"],
            "accuracy_share": row.get("accuracy_share", 1.0),
        }
        for row in rows
    }


def front_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The non-dominated of the evaluations, by rising latency."""
    sound = [row for row in rows if math.isfinite(row["accuracy"])]
    costs = np.array([(-row["accuracy"], row["latency_ms"]) for row in sound]).reshape(-1, 2)
    front = [sound[i] for i in np.flatnonzero(non_dominated(costs))]
    return sorted(front, key=lambda row: (row["latency_ms"], row["id"]))
