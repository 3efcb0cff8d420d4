"""One offline HTML page: the report's sections around an inlined plotly.js, with its data embedded.

Everything that is text goes through `html.escape`, everything that is data through `embed_json`. A content security
policy in the page forbids it to load anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from nas.report.content import ReportData

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCRIPTS = ("page.js", "tables.js", "card.js")
# Inside <script>, only "<" can end the element or open a comment; the rest is caution at no cost.
UNSAFE_IN_SCRIPT = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that is safe to print as it stands; every plain string is escaped instead."""

    html: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, and whether it holds numbers."""

    title: str
    numeric: bool = True


Cell = str | Markup


def render(data: ReportData) -> str:
    """Return the whole report as the text of one HTML file that loads nothing from elsewhere."""
    from plotly.offline import get_plotlyjs

    from nas.report.drawing import directions_of, kinds_of, templates
    from nas.report.embedding import embedded
    from nas.report.page_sections import SECTIONS
    from nas.report.scan_grid import scan_symbols

    values, blocks = embedded(data)
    searches = (data, *data.others)
    rows = [row for each in searches for row in (*each.evaluations, *each.front, *each.presets)]
    return Template(resource("page.html")).substitute(
        title=escape(data.title),
        style=resource("page.css"),
        script="\n".join(resource(name) for name in SCRIPTS),
        plotly=get_plotlyjs(),
        navigation="".join(f'<li><a href="#{each.name}">{each.name.capitalize()}</a></li>' for each in SECTIONS),
        switch=switch([each.device for each in searches]),
        sections="\n".join(
            section(each.name, each.title, panels(each.build, searches) if each.per_device else each.build(data))
            for each in SECTIONS
        ),
        symbols=scan_symbols(directions_of(rows)),
        templates=templates(blocks, kinds_of(rows)),
        data=embed_json(values),
    )


def switch(devices: Sequence[str]) -> str:
    """Radio buttons that choose whose search the page shows; nothing for one device. Scripts make them appear."""
    if len(devices) == 1:
        return ""
    buttons = "".join(
        f'<label><input type="radio" name="device" value="{escape(device)}"{" checked" * (place == 0)}>'
        f"{escape(device)}</label>"
        for place, device in enumerate(devices)
    )
    return f'<fieldset class="switch" hidden><legend>Device</legend>{buttons}</fieldset>'


def panels(build: Callable[[ReportData], str], searches: Sequence[ReportData]) -> str:
    """A section's body once per device; without scripts all are shown, one below the other."""
    if len(searches) == 1:
        return build(searches[0])
    return "".join(
        f'<div class="device" data-device="{escape(each.device)}"><h3 class="device-name">{escape(each.device)}</h3>'
        f"{build(each)}</div>"
        for each in searches
    )


def resource(name: str) -> str:
    """Read a text file that lies beside this module."""
    return files("nas.report").joinpath(name).read_text(encoding="utf-8")


def section(name: str, title: str, body: str) -> str:
    """Wrap a section's body with its heading; without a title there is no heading."""
    if not title:
        return f'<section id="{name}">{body}</section>'
    heading = f'<h2 id="{name}-title">{escape(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{body}</section>'


def paragraph(text: Cell, kind: str = "") -> str:
    """A paragraph of text, with a class if `kind` is given."""
    return f'<p class="{kind}">{inline(text)}</p>' if kind else f"<p>{inline(text)}</p>"


def command(text: str) -> Markup:
    """A shell command that one click selects and a button copies."""
    button = f'<button type="button" class="copy" data-copy="{escape(text)}">copy</button>'
    return Markup(f'<span class="command"><code>{escape(text)}</code>{button}</span>')


def network(identity: str, name: str = "") -> Markup:
    """An architecture's id, or its name, which the page's scripts turn into a button that draws it."""
    return Markup(f'<code data-network="{escape(identity)}">{escape(name or identity)}</code>')


def missing(what: str, how: str) -> str:
    """Say that a part is not there yet and which command adds it."""
    return f'<p class="missing">{escape(what)} This adds it: {command(how).html}</p>'


def inline(cell: Cell) -> str:
    """The HTML of a cell: markup as it is, text escaped."""
    return cell.html if isinstance(cell, Markup) else escape(cell)


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that scrolls sideways on a narrow screen; the first cell of a row is its heading."""
    head = "".join(f'<th scope="col"{align(column)}>{escape(column.title)}</th>' for column in columns)
    body = "".join(f"<tr>{table_row(columns, row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def table_row(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    """The cells of one row."""
    first, *rest = zip(columns, row, strict=True)
    cells = [f'<th scope="row"{align(first[0])}>{inline(first[1])}</th>']
    cells += [f"<td{align(column)}>{inline(cell)}</td>" for column, cell in rest]
    return "".join(cells)


def align(column: Column) -> str:
    """The attribute that right-aligns numbers."""
    return ' class="number"' if column.numeric else ""


def plot(name: str, chart: go.Figure, finding: str, fallback: str = "") -> str:
    """A figure with its finding as caption and, folded below, the table that says the same without JavaScript."""
    details = f"<details><summary>Same data as a table</summary>{fallback}</details>" if fallback else ""
    return (
        f'<figure data-figure="{name}"><div class="plot" role="group" aria-label="{escape(finding)}" '
        f'style="min-height:{chart.layout.height}px"></div>'
        f'<script type="application/json">{escape_script(chart.to_json())}</script>'
        f"<figcaption>{escape(finding)}</figcaption>{details}</figure>"
    )


def embed_json(value: Any) -> str:
    """Write `value` as JSON that can stand inside a script element; NaN and infinities become null."""
    return escape_script(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def escape_script(text: str) -> str:
    """Replace the characters of a JSON text that could end its script element by their JSON escapes."""
    return text.translate(UNSAFE_IN_SCRIPT)


def plain(value: Any) -> Any:
    """Turn mappings, sequences and numbers of any kind into what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
