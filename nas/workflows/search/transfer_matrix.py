"""How good the front of one device is on another: accuracies stay, latencies are priced again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.files import write_csv
from nas.hardware.table.latency_table import LatencyTable
from nas.search.pareto import hypervolume
from nas.space.architecture import Architecture

Row = Mapping[str, Any]
TRANSFER_COLUMNS = (
    *("front_of", "used_on", "hypervolume_share", "accuracy", "own_accuracy", "within_limit", "of", "provenance"),
)


def record_transfer(
    run: Path,
    fronts: Mapping[str, Sequence[Row]],
    tables: Mapping[str, LatencyTable],
    max_latency_ms: float | None,
) -> list[dict[str, Any]]:
    """Write search/transfer.csv of a search for several devices and give its rows; [] for one device."""
    if len(fronts) < 2:
        return []
    matrix = transfer_matrix(fronts, tables, max_latency_ms)
    write_csv(run / "search" / "transfer.csv", matrix, TRANSFER_COLUMNS)
    return matrix


def transfer_matrix(
    fronts: Mapping[str, Sequence[Row]], tables: Mapping[str, LatencyTable], max_latency_ms: float | None
) -> list[dict[str, Any]]:
    """Compare every pair of devices: rows with `front_of`, `used_on`, and what the front found for the one is there.

    `hypervolume_share` is the hypervolume of that front on the other device, priced by its table and within the limit,
    over that of the other device's own front; 1 on the diagonal. `accuracy` is the best within the limit, None where
    none is. The reference point is accuracy 0 at the greatest latency of the two fronts.
    """
    found = []
    for used_on, own in fronts.items():
        priced = {device: points(front, tables[used_on]) for device, front in fronts.items()}
        for front_of in fronts:
            slowest = max(priced[front_of][:, 1].max(initial=0.0), priced[used_on][:, 1].max())
            reference = (0.0, 1.1 * (slowest if max_latency_ms is None else min(slowest, max_latency_ms)))
            there = within(priced[front_of], max_latency_ms)
            whole = hypervolume(within(priced[used_on], max_latency_ms), reference)
            found.append(
                {
                    "front_of": front_of,
                    "used_on": used_on,
                    "hypervolume_share": hypervolume(there, reference) / whole if len(there) else 0.0,
                    "accuracy": float(-there[:, 0].min()) if len(there) else None,
                    "own_accuracy": max(row["accuracy"] for row in own),
                    "within_limit": len(there),
                    "of": len(fronts[front_of]),
                    "provenance": tables[used_on].header["provenance"],
                }
            )
    return found


def points(front: Sequence[Row], table: LatencyTable) -> np.ndarray:
    """Costs [n, 2] of what of a front a table's device can run: minus accuracy, milliseconds.

    A network with bit-widths that the table has no rows for is left out.
    """
    rows = [(row, Architecture.from_json(row["architecture"])) for row in front]
    costs = [[-row["accuracy"], table.predict(found).ms] for row, found in rows if found in table.space]
    return np.array(costs).reshape(-1, 2)


def within(costs: np.ndarray, max_latency_ms: float | None) -> np.ndarray:
    """Those of the costs [n, 2] that keep to the limit."""
    return costs if max_latency_ms is None else costs[costs[:, 1] <= max_latency_ms]


def transfer_lines(matrix: Sequence[Row]) -> list[str]:
    """Say what becomes of a front on another device, a line for each pair."""
    lines = []
    for row in matrix:
        if row["front_of"] == row["used_on"]:
            continue
        best = "none within the limit" if row["accuracy"] is None else f"best {row['accuracy']:.1%}"
        lines.append(
            f"the front of {row['front_of']} on {row['used_on']}: {row['hypervolume_share']:.0%} of the hypervolume of "
            f"its own, {row['within_limit']} of {row['of']} within the limit, {best} (own {row['own_accuracy']:.1%}; "
            f"latencies on {row['used_on']} {row['provenance']})"
        )
    return lines
