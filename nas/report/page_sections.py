"""The sections of the report, answer first; the last ones, drawings and reproduction, are made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import NamedTuple

from nas.report import devices, drawing, evidence, presets, ranking, results
from nas.report.content import ReportData, Row
from nas.report.findings import portraits
from nas.report.html import Cell, Column, Markup, command, missing, paragraph, plain, table
from nas.report.wording import percent, search_command
from nas.units import format_count, format_milliseconds


def drawings(data: ReportData) -> str:
    """The smallest, the knee and the best of the front, drawn."""
    drawn = portraits(data)
    if not drawn:
        return missing("There is no architecture to draw.", search_command(data))
    kinds = drawing.kinds_of((*data.evaluations, *drawn.values()))
    cards = "".join(
        f'<article class="portrait"><h3>{name}: <code>{escape(str(row["id"]))}</code></h3>'
        f"{paragraph(portrait_words(row), 'note')}{drawing.strips(row['architecture'], kinds)}</article>"
        for name, row in drawn.items()
    )
    hint = paragraph("With JavaScript, a click on a point of the front's figure, or on a name, draws that one.", "note")
    return f'{hint}{drawing.legend(kinds)}<div class="portraits">{cards}</div>'


def portrait_words(row: Row) -> str:
    """Accuracy, latency and cost of a drawn architecture."""
    return (
        f"{percent(row['accuracy'])} validation with inherited weights, {format_milliseconds(row['latency_ms'])} "
        f"predicted, {format_count(row['num_params'])} parameters, {format_count(row['macs'])} MACs"
    )


DOWNLOADS = (
    ("front", "front.csv"),
    ("presets", "presets.csv"),
    ("evaluations", "evaluations.csv"),
    ("compare", "compare.csv"),
    ("training", "training.csv"),
    ("hypervolume", "hypervolume.csv"),
    ("", "report.json"),
)


def reproduction(data: ReportData) -> str:
    """The command, the versions, the manifest, the data."""
    versions = data.manifest.get("versions") or {}
    rows: list[list[Cell]] = [[str(name), str(version)] for name, version in versions.items()]
    body = paragraph(Markup(f"Run again with {command(data.command).html}"))
    items = "".join(f"<li>{escape(text)}</li>" for each in (data, *data.others) for text in each.warnings)
    body += f'<h3>Warnings</h3><ul class="warnings">{items}</ul>' if items else ""
    if rows:
        body += table("Versions", (Column("package", numeric=False), Column("version", numeric=False)), rows)
    manifest = json.dumps(plain(data.manifest), indent=2, ensure_ascii=False, default=str)
    body += f"<details><summary>Manifest of the run</summary><pre>{escape(manifest)}</pre></details>"
    buttons = "".join(
        f'<button type="button" class="download" data-part="{part}" data-file="{file}">{file}</button>'
        for part, file in DOWNLOADS
    )
    note = '<noscript><p class="note">Without JavaScript, find the data as JSON in this page\'s source.</p></noscript>'
    return f'{body}<h3>Data of this page</h3><p class="downloads">{buttons}</p>{note}'


class Section(NamedTuple):
    """A section: its place in the page, its heading, what makes its body; shown once per device, or once."""

    name: str
    title: str
    build: Callable[[ReportData], str]
    per_device: bool = False


SECTIONS = (
    Section("answer", "", results.answer),
    Section("front", "Accuracy against latency", results.front_figure, per_device=True),
    Section("networks", "The front, network by network", results.front_table, per_device=True),
    Section(
        "presets", "Against hand-designed patterns in the same weights", presets.against_the_front, per_device=True
    ),
    Section("comparison", "Against hand-designed models", results.comparison),
    Section("devices", "Fronts on other devices", devices.transfer),
    Section("fidelity", "Is the latency table right?", evidence.fidelity, per_device=True),
    Section("ranking", "Does the supernet rank networks rightly?", ranking.ranking),
    Section("training", "Training of the supernet", evidence.training),
    Section("search", "Progress of the search", evidence.search_progress, per_device=True),
    Section("choices", "What the front chose", evidence.choices, per_device=True),
    Section("drawings", "Three networks drawn", drawings, per_device=True),
    Section("reproduction", "Data and reproduction", reproduction),
)
