"""Reads and makes the rows of judged architectures: `evaluations.jsonl`, `front.json`, and evaluations of a search."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from nas.errors import NasError
from nas.files import REMEDY, JsonObject, Stored, read_jsonl
from nas.hardware.table.latency_table import LatencyTable
from nas.search.evaluation_row import EvaluationRow, FrontMember, JudgedNetwork, PresetRow
from nas.search.problem import Counts, Evaluation, Genome
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace

NUMBERS = (
    *("latency_ms", "latency_low_ms", "latency_high_ms", "num_params", "macs", "size_bytes", "bitops", "resolution"),
)
TYPES: JsonObject = {
    **{"id": str, "accuracy": (float, int, NoneType), "provenance": str, "architecture": str},
    **dict.fromkeys(NUMBERS, (float, int)),
}
LARGEST = 1e18  # of any number in a row
IDENTITY = re.compile("[0-9a-f]{10}")
Row = TypeVar("Row", bound=JudgedNetwork)


def judge(
    kind: type[Row], architecture: Architecture, accuracy: float, table: LatencyTable, space: SearchSpace, **more: Any
) -> Row:
    """Return a row of `kind`: an architecture's accuracy beside its predicted latency and its cost."""
    latency = table.predict(architecture)
    cost = architecture_cost(architecture, space.num_classes)
    return kind(
        architecture=architecture,
        accuracy=accuracy,
        latency_ms=latency.ms,
        latency_low_ms=latency.low_ms,
        latency_high_ms=latency.high_ms,
        provenance=latency.provenance,
        num_params=cost.num_params,
        macs=cost.macs,
        size_bytes=cost.size_bytes,
        bitops=cost.bitops,
        **more,
    )


def evaluation_row(evaluation: Evaluation, counted: Counts, table: LatencyTable, space: SearchSpace) -> EvaluationRow:
    """Return the row of an evaluation; `counted` are right answers in each part of the split, for a later --resume."""
    accuracy = math.nan if evaluation.failed else evaluation.metrics["accuracy"]
    parts = () if evaluation.failed else tuple(counted)
    share = evaluation.metrics["accuracy_share"]
    return judge(EvaluationRow, evaluation.candidate, accuracy, table, space, accuracy_share=share, counted=parts)


def read_evaluations(path: Path, repair: bool = False) -> list[EvaluationRow]:
    """Read evaluations.jsonl as `nas.files.read_jsonl` does; `NasError` for a damaged row."""
    return [evaluation_of(row) for row in read_jsonl(path, repair=repair)]


def evaluation_of(row: Stored) -> EvaluationRow:
    """Return the value of a line of evaluations.jsonl."""
    return EvaluationRow(**figures_of(row), accuracy_share=share_of(row), counted=counts_of(row))


def members_of(content: Stored, source: str) -> list[FrontMember]:
    """Return the members of the front in a front.json, by rising latency; `NasError` where there is none."""
    front = content["front"]
    if not isinstance(front, list) or not front or not all(isinstance(row, Stored) for row in front):
        raise NasError(f"{source} holds no front", REMEDY)
    return [FrontMember(**figures_of(row)) for row in front]


def presets_of(content: Stored) -> list[PresetRow]:
    """Return the presets in a front.json."""
    rows = content.get("presets", [])
    return [PresetRow(**figures_of(row), name=row["name"], source=row["source"]) for row in rows]


def figures_of(row: Stored) -> JsonObject:
    """Return the fields of `JudgedNetwork` in a row; `NasError` where one is missing, of a wrong type or not finite."""
    for name, kinds in TYPES.items():
        value = row[name]
        if not isinstance(value, kinds) or (isinstance(value, float | int) and not abs(value) <= LARGEST):
            raise NasError(f"{row.source} has {name} = {reprlib.repr(value)}", REMEDY)
    if not IDENTITY.fullmatch(row["id"]):
        raise NasError(f"{row.source} has the id {reprlib.repr(row['id'])}, which is not one", REMEDY)
    architecture = Architecture.from_json(row["architecture"])
    if architecture.id != row["id"]:
        raise NasError(f"{row.source} has the id {row['id']}, its architecture {architecture.id}", REMEDY)
    plain = {name: row[name] for name in NUMBERS if name != "resolution"}
    accuracy = math.nan if row["accuracy"] is None else row["accuracy"]
    optional = {name: row[name] for name in ("feasible", "latency_measured_ms") if name in row}
    return {"architecture": architecture, "accuracy": accuracy, "provenance": row["provenance"], **plain, **optional}


def share_of(row: Stored) -> float:
    """Return the share of the split that an evaluation has seen."""
    share = row.get("accuracy_share", 1.0)
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise NasError(f"{row.source} has accuracy_share = {reprlib.repr(share)}", REMEDY)
    return share


def counts_of(row: Stored) -> Counts:
    """Return what an evaluation has counted in each part of the split."""
    pairs = row.get("counted", [])
    if not isinstance(pairs, list) or not all(is_count(pair) for pair in pairs):
        raise NasError(f"{row.source} has counted = {reprlib.repr(pairs)}", REMEDY)
    return tuple((right, count) for right, count in pairs)


def is_count(pair: Any) -> bool:
    """Whether a value is [right, count] with numbers that can be."""
    numbers = isinstance(pair, list) and len(pair) == 2 and all(isinstance(number, int | float) for number in pair)
    return bool(numbers and 0 <= pair[0] <= pair[1] and 0 < pair[1] <= LARGEST)


def metrics_of(rows: Iterable[EvaluationRow], space: SearchSpace) -> dict[Genome, dict[str, float]]:
    """Return the measured figures of recorded evaluations by genome; NaN for an accuracy that failed."""
    return {
        tuple(space.encode(row.architecture).tolist()): {"accuracy": row.accuracy, "accuracy_share": row.accuracy_share}
        for row in rows
    }
