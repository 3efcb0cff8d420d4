"""Presets beside the front: what is as accurate as each hand-designed pattern, and how much faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.report.content import ReportData, sound
from nas.report.html import Cell, Column, network, paragraph, table
from nas.report.preset_verdicts import at_least_as_accurate, on_the_front, presets_sentence
from nas.report.wording import ABSENT, milliseconds, percent, times

if TYPE_CHECKING:
    from nas.search.evaluation_row import FrontMember, PresetRow

COLUMNS = (
    Column("pattern", numeric=False),
    Column("validation, inherited"),
    Column("predicted (ms)"),
    Column("within limits", numeric=False),
    Column("front member, at least as accurate", numeric=False),
    Column("its validation"),
    Column("its predicted (ms)"),
    Column("faster"),
    Column("idea from", numeric=False),
)


def presets(data: ReportData) -> str:
    """Return the section."""
    if not data.presets:
        return paragraph("The search space names no hand-designed patterns; a space file does so under `presets`.")
    rows = [preset_row(preset, data.front) for preset in sorted(sound(data.presets), key=lambda row: -row.accuracy)]
    note = (
        "The patterns are written in this space's operators, so they differ from the published models in all but their "
        "idea. Accuracies are those of inherited weights on the validation split, latencies are predicted."
    )
    body = paragraph(presets_sentence(data.front, data.presets), "finding")
    return body + table("Presets against the front, most accurate first", COLUMNS, rows) + paragraph(note, "note")


def preset_row(preset: PresetRow, front: Sequence[FrontMember]) -> list[Cell]:
    """Return one preset and the fastest member of the front that is at least as accurate."""
    start: list[Cell] = [
        network(preset.id, preset.name),
        percent(preset.accuracy),
        milliseconds(preset.latency_ms),
        "yes" if preset.feasible else "no",
    ]
    return [*start, *member_cells(preset, front), preset.source]


def member_cells(preset: PresetRow, front: Sequence[FrontMember]) -> list[Cell]:
    """Return the member of the front that answers a preset, or why there is none."""
    if on_the_front(preset, front):
        return ["on the front", ABSENT, ABSENT, ABSENT]
    members = at_least_as_accurate(preset, front)
    if not members:
        return ["none", ABSENT, ABSENT, ABSENT]
    fastest = members[0]
    factor = preset.latency_ms / fastest.latency_ms
    return [network(fastest.id), percent(fastest.accuracy), milliseconds(fastest.latency_ms), times(factor)]
