"""The front, network by network: a table with a command per row."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nas.report.content import ReportData, measured_of_evaluation, searched
from nas.report.html import Cell, Column, command, missing, network, table
from nas.report.wording import ABSENT, milliseconds, percent, search_command
from nas.units import format_bytes, format_count

if TYPE_CHECKING:
    from nas.search.evaluation_row import FrontMember

COLUMNS = (
    Column("network", numeric=False),
    Column("validation, inherited"),
    Column("test, fine-tuned"),
    Column("predicted (ms)"),
    Column("interval (ms)"),
    Column("measured (ms)"),
    Column("blocks in the table", numeric=False),
    Column("params"),
    Column("MACs"),
    Column("size"),
    Column("input"),
    Column("next", numeric=False),
)


def networks(data: ReportData) -> str:
    """Return the section."""
    if not data.front:
        return missing("The front is empty.", search_command(data))
    tested = {trained.id: percent(trained.accuracy) for trained in searched(data)}
    rows = [network_row(data, row, tested.get(row.id, ABSENT)) for row in data.front]
    return table("Pareto front, fastest first", COLUMNS, rows)


def network_row(data: ReportData, row: FrontMember, tested: str) -> list[Cell]:
    """Return the cells of one member of the front; `tested` is its accuracy on the test split."""
    return [
        network(row.id),
        percent(row.accuracy),
        tested,
        milliseconds(row.latency_ms),
        f"{milliseconds(row.latency_low_ms)}–{milliseconds(row.latency_high_ms)}",
        measured_cell(data, measured_of_evaluation(data, row)),
        row.provenance,
        format_count(row.num_params),
        format_count(row.macs),
        format_bytes(row.size_bytes),
        f"{row.resolution} px",
        command(f"nas finetune --pick {shlex.quote(row.id)}"),
    ]


def measured_cell(data: ReportData, latency_ms: float | None) -> str:
    """Return a measured latency, marked where it exceeds the limit."""
    over = latency_ms is not None and data.max_latency_ms is not None and latency_ms > data.max_latency_ms
    return f"{milliseconds(latency_ms)} > limit" if over else milliseconds(latency_ms)
