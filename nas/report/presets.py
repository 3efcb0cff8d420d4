"""Whether the search beats what people designed, in the same weights: sentences and the table of presets."""

from __future__ import annotations

from collections.abc import Sequence

from nas.report.content import ReportData, Row, judged
from nas.report.html import Cell, Column, network, paragraph, table
from nas.report.wording import ABSENT, milliseconds, percent, times


def presets_sentence(front: Sequence[Row], presets: Sequence[Row]) -> str:
    """How many hand-designed patterns a network that the search found beats, and what becomes of the others."""
    shown = judged(presets)
    verdicts = {row["name"]: verdict(row, front, presets) for row in shown}
    beaten = sum(word == "beaten" for word in verdicts.values())
    text = (
        f"The search beats {beaten} of {len(shown)} hand-designed patterns in the same weights: "
        "a network of its front is at least as accurate at no higher predicted latency."
    )
    for word, start in (
        ("on the front", "On the front themselves"),
        ("by another", "Beaten only by another pattern"),
        ("unbeaten", "Not beaten"),
    ):
        names = [name for name, found in verdicts.items() if found == word]
        text += f" {start}: {', '.join(names)}." if names else ""
    return text


def verdict(preset: Row, front: Sequence[Row], presets: Sequence[Row]) -> str:
    """Say `on the front`, `beaten` (by what the search found), `by another` (preset), or `unbeaten`."""
    if any(row["id"] == preset["id"] for row in front):
        return "on the front"
    better = [row for row in at_least_as_accurate(preset, front) if row["latency_ms"] <= preset["latency_ms"]]
    if not better:
        return "unbeaten"
    own = {row["id"] for row in presets}
    return "beaten" if any(row["id"] not in own for row in better) else "by another"


def at_least_as_accurate(preset: Row, front: Sequence[Row]) -> list[Row]:
    """The members of the front that are at least as accurate as a preset, the fastest first."""
    return sorted((row for row in front if row["accuracy"] >= preset["accuracy"]), key=lambda row: row["latency_ms"])


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


def against_the_front(data: ReportData) -> str:
    """The presets beside the front: what is as accurate as each, and how much faster."""
    if not data.presets:
        return paragraph("The search space names no hand-designed patterns; a space file does so under `presets`.")
    rows = [preset_row(row, data.front) for row in sorted(judged(data.presets), key=lambda row: -row["accuracy"])]
    note = (
        "The patterns are written in this space's operators, so they differ from the published models in all but their "
        "idea. Accuracies are those of inherited weights on the validation split, latencies are predicted."
    )
    body = paragraph(presets_sentence(data.front, data.presets), "finding")
    return body + table("Presets against the front, most accurate first", COLUMNS, rows) + paragraph(note, "note")


def preset_row(preset: Row, front: Sequence[Row]) -> list[Cell]:
    """One preset and the fastest member of the front that is at least as accurate."""
    start: list[Cell] = [
        network(str(preset["id"]), str(preset["name"])),
        percent(preset["accuracy"]),
        milliseconds(preset["latency_ms"]),
        "yes" if preset["feasible"] else "no",
    ]
    rivals = at_least_as_accurate(preset, front)
    if any(row["id"] == preset["id"] for row in front):
        found: list[Cell] = ["on the front", ABSENT, ABSENT, ABSENT]
    elif not rivals:
        found = ["none", ABSENT, ABSENT, ABSENT]
    else:
        rival = rivals[0]
        factor = preset["latency_ms"] / rival["latency_ms"]
        found = [
            network(str(rival["id"])),
            percent(rival["accuracy"]),
            milliseconds(rival["latency_ms"]),
            times(factor),
        ]
    return [*start, *found, str(preset["source"])]
