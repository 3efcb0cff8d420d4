"""Is what a search was made from still there? A front beside other weights or another table means nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nas.errors import NasError
from nas.files import read_json
from nas.hardware.table.latency_table import LatencyTable


def digest(path: Path) -> str:
    """SHA-256 of a run's weights, hexadecimal; `NasError` where the file is missing."""
    if not path.is_file():
        raise NasError(f"{path} is missing: the run has no trained supernet", "Train it: nas train-supernet --resume")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_weights(run: Path, folder: Path) -> None:
    """Refuse to go on from the search in `folder` when the run's supernet was trained further since."""
    if read_json(folder / "search.json")["weights_sha256"] != digest(run / "supernet.safetensors"):
        raise NasError(
            f"the supernet of {run} has changed since the search in {folder}",
            "Search again: nas search --device DEVICE --max-latency 5ms",
        )


def check_table(table: LatencyTable, folder: Path) -> None:
    """Refuse to show the search in `folder` beside a latency table that is not the one it used."""
    if read_json(folder / "search.json")["table_sha256"] != table.header["csv_sha256"]:
        raise NasError(
            f"the latency table of '{table.header['device']}' has changed since the search in {folder}",
            "Search again: nas search --device DEVICE --max-latency 5ms",
        )
