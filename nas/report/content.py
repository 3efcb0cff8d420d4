"""The facts that a report shows, as they stand in a run directory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything a report is made of; every part beyond the first six may be empty.

    Accuracies lie in [0, 1]. There are two kinds, never mixed: `evaluations` and `front` hold the accuracy of
    *inherited* weights on the *validation* split; `compare` holds that of *trained* networks on the *test* split.
    `presets` are architectures that the space names, judged as the front is: same weights, same split, same table.
    In the same way `latency_ms` is the latency table's prediction in `evaluations` and `front`, and a whole network's
    measurement in `compare` (unless the row carries another `provenance`). Errors in `table` are fractions.
    """

    title: str
    command: str
    manifest: Row
    device: str
    backend: str
    max_latency_ms: float | None
    evaluations: tuple[Row, ...] = ()  # rows of evaluations.jsonl, of a very large search a part
    num_evaluations: int = 0  # in all, where that is known
    front: tuple[Row, ...] = ()  # the non-dominated feasible ones, by rising latency
    presets: tuple[Row, ...] = ()  # rows of presets.csv: those of evaluations with `name` and `source`
    hypervolume: tuple[tuple[int, float], ...] = ()  # (number of evaluations, hypervolume)
    sanity: Row = field(default_factory=dict)  # against plain searches, and what became of the evaluations
    compare: tuple[Row, ...] = ()  # rows of compare.csv
    table: Row = field(default_factory=dict)  # header of the latency table, `validation` included
    training: tuple[Row, ...] = ()  # rows of training.jsonl
    audit: Row = field(default_factory=dict)  # audit.json: networks trained alone against what they inherit
    transfer: tuple[Row, ...] = ()  # rows of transfer.csv: fronts on each other's device
    warnings: tuple[str, ...] = ()  # what a reader has to know before believing the figures
    others: tuple[ReportData, ...] = ()  # the same run's searches for other devices


def searched(data: ReportData) -> list[Row]:
    """The fine-tuned networks of the search."""
    return [row for row in data.compare if row["kind"] == "searched"]


def hand_designed(data: ReportData) -> list[Row]:
    """The hand-designed models they are compared with."""
    return [row for row in data.compare if row["kind"] == "hand-designed"]


def rivals(data: ReportData) -> list[Row]:
    """Those of the hand-designed models that have learnt something: no searched network answers the others."""
    return [row for row in hand_designed(data) if row.get("rival") or not row.get("verdict")]


def evaluated(data: ReportData) -> list[Row]:
    """The evaluations that have an accuracy."""
    return judged(data.evaluations)


def judged(rows: Iterable[Row]) -> list[Row]:
    """Those of the rows that have an accuracy; one that failed has None or NaN."""
    return [row for row in rows if row["accuracy"] is not None and math.isfinite(row["accuracy"])]


def timed(data: ReportData, rows: Iterable[Row]) -> list[Row]:
    """Those of the `compare` rows whose latency is known, measured or predicted."""
    return [row for row in rows if known_ms(data, row) < math.inf]


def evaluation_of(data: ReportData, identity: str) -> Row | None:
    """The evaluation of the architecture `identity`, its front row first; None where it was never evaluated."""
    return next((row for row in (*data.front, *data.evaluations) if row["id"] == identity), None)


def measured_ms(row: Row) -> float | None:
    """Whole-network measurement of a `compare` row in milliseconds; None where its latency was not measured."""
    value = row.get("latency_ms")
    return None if value is None or row.get("provenance", "measured") != "measured" else float(value)


def known_ms(data: ReportData, row: Row) -> float:
    """Latency of a `compare` row: measured or predicted whole, else that of its evaluation, else infinite."""
    if row.get("latency_ms") is not None:
        return float(row["latency_ms"])
    evaluation = evaluation_of(data, row.get("id", ""))
    return math.inf if evaluation is None else float(evaluation["latency_ms"])


def measured_of_evaluation(data: ReportData, row: Row) -> float | None:
    """Whole-network measurement of an evaluated architecture, of the search or of its fine-tuned network."""
    if row.get("latency_measured_ms") is not None:
        return float(row["latency_measured_ms"])
    return next((measured_ms(network) for network in searched(data) if network["id"] == row["id"]), None)


def blocks_of(row: Row) -> Iterable[tuple[int, Row]]:
    """Every block of an evaluated architecture with the number of its stage, counted from 1."""
    for number, stage in enumerate(row["architecture"]["stages"], 1):
        for block in stage["blocks"]:
            yield number, block
