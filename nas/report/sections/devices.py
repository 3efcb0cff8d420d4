"""Several devices in one search: what the front of one is worth on another."""

from __future__ import annotations

from collections.abc import Sequence

from nas.report.content import ReportData
from nas.report.html import Cell, Column, paragraph, table
from nas.report.transfer_row import TransferRow
from nas.report.wording import percent, percent_or_dash

COLUMNS = (
    Column("front of", numeric=False),
    Column("used on", numeric=False),
    Column("share of the hypervolume"),
    Column("within the limit"),
    Column("best validation, inherited"),
    Column("best of its own front"),
    Column("latencies there", numeric=False),
)


def devices(data: ReportData) -> str:
    """Return the section."""
    if not data.transfer:
        return paragraph(f"The search was for {data.device} alone; repeat --device to search for several at once.")
    rows: list[list[Cell]] = [
        [
            row.front_of,
            row.used_on,
            percent(row.hypervolume_share),
            f"{row.num_within_limit} of {row.num_networks}",
            percent_or_dash(row.accuracy),
            percent(row.own_accuracy),
            row.provenance,
        ]
        for row in data.transfer
    ]
    return paragraph(transfer_sentence(data.transfer)) + table("Fronts on each other's device", COLUMNS, rows)


def transfer_sentence(matrix: Sequence[TransferRow]) -> str:
    """Return how much is lost at worst by taking the front of another device."""
    pairs = [row for row in matrix if row.front_of != row.used_on]
    worst = min(pairs, key=lambda row: row.hypervolume_share)
    return (
        f"Networks found for one device and used on another reach at worst {percent(worst.hypervolume_share)} of "
        f"the hypervolume of a front of its own: those of {worst.front_of} on {worst.used_on}. "
        "Accuracies are the same; only latencies are priced again."
    )
