"""How good the front of one device is on another: accuracies stay, latencies are priced again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas.files import write_csv
from nas.hardware.table.latency_table import LatencyTable
from nas.report.transfer_row import COLUMNS, TransferRow
from nas.search.evaluation_row import FrontMember
from nas.search.pareto import hypervolume

Fronts = Mapping[str, Sequence[FrontMember]]


def record_transfer(
    path: Path, fronts: Fronts, tables: Mapping[str, LatencyTable], max_latency_ms: float | None
) -> list[TransferRow]:
    """Write transfer.csv of a search for several devices and return its rows; none for one device."""
    if len(fronts) < 2:
        return []
    matrix = transfer_matrix(fronts, tables, max_latency_ms)
    write_csv(path, [row.to_row() for row in matrix], COLUMNS)
    return matrix


def transfer_matrix(
    fronts: Fronts, tables: Mapping[str, LatencyTable], max_latency_ms: float | None
) -> list[TransferRow]:
    """Compare every pair of devices; a front used on another device is priced by its table, within the limit.

    The reference point is accuracy 0 at the greatest latency of the two fronts.
    """
    matrix = []
    for used_on, own in fronts.items():
        priced = {device: points(front, tables[used_on]) for device, front in fronts.items()}
        for front_of in fronts:
            slowest = max(priced[front_of][:, 1].max(initial=0.0), priced[used_on][:, 1].max())
            reference = (0.0, 1.1 * (slowest if max_latency_ms is None else min(slowest, max_latency_ms)))
            there = within(priced[front_of], max_latency_ms)
            whole = hypervolume(within(priced[used_on], max_latency_ms), reference)
            row = TransferRow(
                front_of=front_of,
                used_on=used_on,
                hypervolume_share=hypervolume(there, reference) / whole if len(there) else 0.0,
                accuracy=float(-there[:, 0].min()) if len(there) else None,
                own_accuracy=max(row.accuracy for row in own),
                num_within_limit=len(there),
                num_networks=len(fronts[front_of]),
                provenance=tables[used_on].header.provenance,
            )
            matrix.append(row)
    return matrix


def points(front: Sequence[FrontMember], table: LatencyTable) -> np.ndarray:
    """Return the costs [n, 2] of those members of a front that a table's device can run: minus accuracy, milliseconds.

    A network with bit-widths that the table has no rows for is left out.
    """
    able = [row for row in front if row.architecture in table.space]
    costs = [[-row.accuracy, table.predict(row.architecture).ms] for row in able]
    return np.array(costs).reshape(-1, 2)


def within(costs: np.ndarray, max_latency_ms: float | None) -> np.ndarray:
    """Return those of the costs [n, 2] that keep to the limit."""
    return costs if max_latency_ms is None else costs[costs[:, 1] <= max_latency_ms]


def transfer_lines(matrix: Sequence[TransferRow]) -> list[str]:
    """Return in words what becomes of a front on another device, a line for each pair."""
    lines = []
    for row in matrix:
        if row.front_of == row.used_on:
            continue
        best = "none within the limit" if row.accuracy is None else f"best {row.accuracy:.1%}"
        lines.append(
            f"the front of {row.front_of} on {row.used_on}: {row.hypervolume_share:.0%} of the hypervolume of "
            f"its own, {row.num_within_limit} of {row.num_networks} within the limit, {best} "
            f"(own {row.own_accuracy:.1%}; latencies on {row.used_on} {row.provenance})"
        )
    return lines
