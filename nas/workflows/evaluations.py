"""One line per judged architecture: what `evaluations.jsonl`, `front.csv` and `presets.csv` hold."""

from __future__ import annotations

from typing import Any

from nas.hardware.latency_table import LatencyTable
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
