"""The facts that a report shows, as values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from nas.report.audit import Audit
from nas.report.compared_network import HAND_DESIGNED, SEARCHED, ComparedNetwork
from nas.report.search_quality import History, SearchQuality
from nas.report.stored_values import Json
from nas.report.table_facts import TableFacts
from nas.report.training_epoch import TrainingEpoch
from nas.report.transfer_row import TransferRow
from nas.space.architecture import Block

if TYPE_CHECKING:  # these load numpy, which a page does not need
    from nas.search.evaluation_row import EvaluationRow, FrontMember, JudgedNetwork, PresetRow

    Network = TypeVar("Network", bound=JudgedNetwork)


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """JSON documents that the page carries whole for its readers: `run.json`, `audit.json`, a table's header."""

    manifest: Json = field(default_factory=dict)
    audit: Json = field(default_factory=dict)
    table: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that a report is made from; parts that no command has written yet are empty or None.

    Accuracies are in [0, 1]. There are two kinds, never mixed. `evaluations`, `front` and `presets` hold the accuracy
    of *inherited* weights on the *validation* split; `compare` holds that of *trained* networks on the *test* split.
    In the same way `latency_ms` is the latency table's prediction in `evaluations`, `front` and `presets`, and a whole
    network's measurement in `compare` (unless the row has another `provenance`).
    """

    title: str
    command: str
    device: str
    backend: str
    max_latency_ms: float | None
    evaluations: tuple[EvaluationRow, ...] = ()  # a part of them after a very large search
    num_evaluations: int = 0  # in all, where that is known
    front: tuple[FrontMember, ...] = ()  # the non-dominated feasible ones, by rising latency
    presets: tuple[PresetRow, ...] = ()
    hypervolume: History = ()
    quality: SearchQuality | None = None
    compare: tuple[ComparedNetwork, ...] = ()
    table: TableFacts | None = None
    training: tuple[TrainingEpoch, ...] = ()
    audit: Audit | None = None
    transfer: tuple[TransferRow, ...] = ()
    documents: Documents = field(default_factory=Documents)
    warnings: tuple[str, ...] = ()  # what a reader has to know before believing the figures
    others: tuple[ReportData, ...] = ()  # the same run's searches for other devices
    judged_by_id: Mapping[str, JudgedNetwork] = field(init=False, repr=False, compare=False)  # the front's row first

    def __post_init__(self) -> None:
        rows = (*self.front, *self.evaluations)
        object.__setattr__(self, "judged_by_id", {row.id: row for row in reversed(rows)})


def searched(data: ReportData) -> list[ComparedNetwork]:
    """Return the trained networks of the search."""
    return [network for network in data.compare if network.kind == SEARCHED]


def hand_designed(data: ReportData) -> list[ComparedNetwork]:
    """Return the hand-designed models they are compared with."""
    return [network for network in data.compare if network.kind == HAND_DESIGNED]


def baselines(data: ReportData) -> list[ComparedNetwork]:
    """Return the hand-designed models that have learnt something; the others are not compared."""
    return [model for model in hand_designed(data) if not model.has_learnt_nothing]


def sound(rows: Iterable[Network]) -> list[Network]:
    """Return the rows that have an accuracy: those whose evaluation did not fail."""
    return [row for row in rows if not row.failed]


def evaluated(data: ReportData) -> list[EvaluationRow]:
    """Return the evaluations that have an accuracy."""
    return sound(data.evaluations)


def timed(data: ReportData, networks: Iterable[ComparedNetwork]) -> list[ComparedNetwork]:
    """Return the networks whose latency is known, measured or predicted."""
    return [network for network in networks if known_ms(data, network) < math.inf]


def evaluation_of(data: ReportData, identity: str) -> JudgedNetwork | None:
    """Return the row of an architecture, from the front before the evaluations; None where it has none."""
    return data.judged_by_id.get(identity)


def known_ms(data: ReportData, network: ComparedNetwork) -> float:
    """Return the latency of a network: measured or predicted whole, else that of its evaluation, else infinity."""
    if network.latency_ms is not None:
        return network.latency_ms
    evaluation = evaluation_of(data, network.id)
    return math.inf if evaluation is None else evaluation.latency_ms


def measured_of_evaluation(data: ReportData, row: JudgedNetwork) -> float | None:
    """Return the measured latency of an evaluated network, of the search or of its fine-tuned form."""
    if row.latency_measured_ms is not None:
        return row.latency_measured_ms
    return next((network.measured_ms for network in searched(data) if network.id == row.id), None)


def blocks_of(row: JudgedNetwork) -> Iterable[tuple[int, Block]]:
    """Yield every block of an architecture with the number of its stage, counted from 1."""
    for number, stage in enumerate(row.architecture.stages, 1):
        for block in stage.blocks:
            yield number, block


def directions_in(block: Block) -> Sequence[str]:
    """Return the scan directions of a block; nothing where it does not scan."""
    directions = dict(block.settings).get("directions", ())
    return directions if isinstance(directions, tuple) else ()
