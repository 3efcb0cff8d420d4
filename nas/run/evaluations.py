"""One line per judged architecture: what `evaluations.jsonl`, `front.csv` and `presets.csv` hold."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from nas.errors import NasError
from nas.files import REMEDY, Stored, read_json, read_jsonl
from nas.hardware.table.latency_table import LatencyTable
from nas.search.problem import Counts, Evaluation, Genome
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.statistics import non_dominated

COLUMNS = (
    *("id", "accuracy", "latency_ms", "latency_low_ms", "latency_high_ms", "latency_measured_ms", "provenance"),
    *("num_params", "macs", "size_bytes", "bitops", "resolution", "feasible", "architecture"),
)
NUMBERS = (
    "latency_ms",
    "latency_low_ms",
    "latency_high_ms",
    "num_params",
    "macs",
    "size_bytes",
    "bitops",
    "resolution",
)
TYPES: dict[str, Any] = {
    **{"id": str, "accuracy": (float, int, NoneType), "provenance": str, "architecture": str},
    **dict.fromkeys(NUMBERS, (float, int)),
}
LARGEST = 1e18  # of any number in a row
IDENTITY = re.compile("[0-9a-f]{10}")


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
    """Write an evaluation down for a later --resume: its row, and what was counted in each part of the split.

    One that failed has the accuracy None.
    """
    metrics, failed = evaluation.metrics, evaluation.failed
    row = row_of(evaluation.candidate, metrics["accuracy"], table, space)
    row |= {"accuracy": None} if failed else {}
    parts = [] if failed else [list(part) for part in counted]
    return {**row, "accuracy_share": metrics["accuracy_share"], "counted": parts}


def checked_row(row: Stored) -> Stored:
    """Give a row that was read; `NasError` where a field is missing, of a wrong type or not finite."""
    for name, kinds in TYPES.items():
        value = row[name]
        if not isinstance(value, kinds) or (isinstance(value, float | int) and not abs(value) <= LARGEST):
            raise NasError(f"{row.source} has {name} = {reprlib.repr(value)}", REMEDY)
    if not IDENTITY.fullmatch(row["id"]):
        raise NasError(f"{row.source} has the id {reprlib.repr(row['id'])}, which is none", REMEDY)
    return row


def architecture_of(row: Stored) -> Architecture:
    """Give the architecture of a row; `NasError` where it has not the row's id."""
    found = Architecture.from_json(row["architecture"])
    if found.id != row["id"]:
        raise NasError(f"{row.source} has the id {row['id']}, its architecture {found.id}", REMEDY)
    return found


def read_evaluations(folder: Path, repair: bool = False) -> list[Stored]:
    """Read what a search has recorded in `folder`, as `nas.files.read_jsonl` does; `NasError` for a wrong row."""
    return [checked_row(row) for row in read_jsonl(folder / "evaluations.jsonl", repair=repair)]


def front_in(folder: Path) -> list[Stored]:
    """Read the front of the search in `folder`, by rising latency; `NasError` for a wrong row."""
    front = read_json(folder / "front.json")["front"]
    if not isinstance(front, list) or not front or not all(isinstance(row, Stored) for row in front):
        raise NasError(f"{folder / 'front.json'} holds no front", REMEDY)
    for row in front:
        architecture_of(checked_row(row))
    return front


def counted_of(rows: Iterable[Stored]) -> dict[Architecture, Counts]:
    """What recorded evaluations have counted."""
    found = {}
    for row in rows:
        pairs = row.get("counted", [])
        if not isinstance(pairs, list) or not all(is_count(pair) for pair in pairs):
            raise NasError(f"{row.source} has counted = {reprlib.repr(pairs)}", REMEDY)
        found[architecture_of(row)] = tuple((right, count) for right, count in pairs)
    return found


def is_count(pair: Any) -> bool:
    """Say whether a value is [right, count] with numbers that can be."""
    numbers = isinstance(pair, list) and len(pair) == 2 and all(isinstance(each, int | float) for each in pair)
    return bool(numbers and 0 <= pair[0] <= pair[1] and 0 < pair[1] <= LARGEST)


def metrics_of(rows: Iterable[Stored], space: SearchSpace) -> dict[Genome, dict[str, float]]:
    """The measured figures of recorded evaluations, by genome; NaN for an accuracy that failed."""
    found = {}
    for row in rows:
        share = row.get("accuracy_share", 1.0)
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise NasError(f"{row.source} has accuracy_share = {reprlib.repr(share)}", REMEDY)
        accuracy = math.nan if row["accuracy"] is None else row["accuracy"]
        genome = tuple(space.encode(architecture_of(row)).tolist())
        found[genome] = {"accuracy": accuracy, "accuracy_share": share}
    return found


def front_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The non-dominated of the evaluations, by rising latency."""
    sound = [row for row in rows if row["accuracy"] is not None]
    costs = np.array([(-row["accuracy"], row["latency_ms"]) for row in sound]).reshape(-1, 2)
    front = [sound[i] for i in np.flatnonzero(non_dominated(costs))]
    return sorted(front, key=lambda row: (row["latency_ms"], row["id"]))
