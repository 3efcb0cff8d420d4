"""Whether what a search was made from still holds: a front beside other weights or another table means nothing."""

from __future__ import annotations

from nas.errors import NasError
from nas.hardware.table.latency_table import LatencyTable
from nas.run.run import Run
from nas.run.search import Search


def check_weights(run: Run, search: Search) -> None:
    """Raise `NasError` where the supernet of `run` was trained further since the search."""
    if search.record().weights_sha256 != run.weights_digest():
        raise NasError(
            f"the supernet of {run} has changed since the search in {search}",
            "Search again: nas search --device DEVICE --max-latency 5ms",
        )


def check_table(table: LatencyTable, search: Search) -> None:
    """Raise `NasError` where `table` is not the latency table that the search used."""
    if search.record().table_sha256 != table.header.csv_sha256:
        raise NasError(
            f"the latency table of '{table.header.device}' has changed since the search in {search}",
            "Search again: nas search --device DEVICE --max-latency 5ms",
        )
