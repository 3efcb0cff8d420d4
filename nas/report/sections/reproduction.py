"""Data and reproduction: the command, the versions, the manifest, downloads."""

from __future__ import annotations

import json
from html import escape

from nas.report.content import ReportData
from nas.report.html import Cell, Column, Markup, command, paragraph, plain, table

COLUMNS = (Column("package", numeric=False), Column("version", numeric=False))
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
    """Return the section."""
    versions = data.documents.manifest.get("versions") or {}
    rows: list[list[Cell]] = [[str(name), str(version)] for name, version in versions.items()]
    body = paragraph(Markup(f"Run again with {command(data.command).html}"))
    items = "".join(f"<li>{escape(text)}</li>" for search in (data, *data.others) for text in search.warnings)
    body += f'<h3>Warnings</h3><ul class="warnings">{items}</ul>' if items else ""
    body += table("Versions", COLUMNS, rows) if rows else ""
    manifest = json.dumps(plain(data.documents.manifest), indent=2, ensure_ascii=False, default=str)
    body += f"<details><summary>Manifest of the run</summary><pre>{escape(manifest)}</pre></details>"
    buttons = "".join(
        f'<button type="button" class="download" data-part="{part}" data-file="{file}">{file}</button>'
        for part, file in DOWNLOADS
    )
    note = '<noscript><p class="note">Without JavaScript, find the data as JSON in this page\'s source.</p></noscript>'
    return f'{body}<h3>Data of this page</h3><p class="downloads">{buttons}</p>{note}'
