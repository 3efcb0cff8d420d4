"""What is known of one judged architecture: a line of `evaluations.jsonl`, `front.csv` and `presets.csv`, as a value.

Accuracies are in [0, 1], with inherited weights on the validation split; latencies are in milliseconds a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nas.files import JsonObject
from nas.search.problem import Counts
from nas.space.architecture import Architecture
from nas.statistics import non_dominated

COLUMNS = (
    *("id", "accuracy", "latency_ms", "latency_low_ms", "latency_high_ms", "latency_measured_ms", "provenance"),
    *("num_params", "macs", "size_bytes", "bitops", "resolution", "feasible", "architecture"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedNetwork:
    """An architecture with its accuracy, its latency by a table, and its cost.

    The accuracy is NaN where the evaluation failed. `latency_measured_ms` is the latency of the whole network, None
    before it is measured. `feasible` is whether the limits of the search hold.
    """

    architecture: Architecture
    accuracy: float
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    provenance: str
    num_params: int
    macs: int
    size_bytes: int
    bitops: int
    feasible: bool = True
    latency_measured_ms: float | None = None

    @property
    def id(self) -> str:
        """Return the id of the architecture."""
        return self.architecture.id

    @property
    def resolution(self) -> int:
        """Return the side of the input in pixels."""
        return self.architecture.resolution

    @property
    def failed(self) -> bool:
        """Whether there is no accuracy."""
        return not math.isfinite(self.accuracy)

    def to_row(self) -> JsonObject:
        """Return the columns of a file, in their order; an accuracy that failed is None."""
        row = {name: getattr(self, name) for name in COLUMNS}
        return row | {"accuracy": None if self.failed else self.accuracy, "architecture": self.architecture.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow(JudgedNetwork):
    """A line of `evaluations.jsonl`; a search resumes from `counted`, correct answers in each part of the split."""

    accuracy_share: float = 1.0  # of the split that was seen: less than 1 where a race was stopped
    counted: Counts = ()

    def to_row(self) -> JsonObject:
        """Return the columns of a line."""
        counted = [list(part) for part in self.counted]
        return {**JudgedNetwork.to_row(self), "accuracy_share": self.accuracy_share, "counted": counted}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMember(JudgedNetwork):
    """A member of a Pareto front: it has an accuracy and keeps to the limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetRow(JudgedNetwork):
    """A hand-designed pattern that the space names, judged in the same weights; a line of `presets.csv`."""

    name: str
    source: str

    def to_row(self) -> JsonObject:
        """Return the columns of a line, the name first."""
        return {"name": self.name, "source": self.source, **JudgedNetwork.to_row(self)}


Network = TypeVar("Network", bound=JudgedNetwork)


def front_of(rows: Sequence[Network]) -> list[Network]:
    """Return the non-dominated rows by rising latency; one whose evaluation failed is left out."""
    sound = [row for row in rows if not row.failed]
    costs = np.array([(-row.accuracy, row.latency_ms) for row in sound]).reshape(-1, 2)
    front = [sound[i] for i in np.flatnonzero(non_dominated(costs))]
    return sorted(front, key=lambda row: (row.latency_ms, row.id))
