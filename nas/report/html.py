"""Pieces of HTML: tables, figures, commands, JSON inside a script.

Everything that is text goes through `html.escape`, everything that is data through `embed_json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
MAX_TABLE_ROWS = 40  # of a folded table; longer histories are thinned evenly
Item = TypeVar("Item")


def paragraph(text: Cell, kind: str = "") -> str:
    """Return a paragraph of text, with a class if `kind` is given."""
    return f'<p class="{kind}">{inline(text)}</p>' if kind else f"<p>{inline(text)}</p>"


def command(text: str) -> Markup:
    """Return a shell command that one click selects and a button copies."""
    button = f'<button type="button" class="copy" data-copy="{escape(text)}">copy</button>'
    return Markup(f'<span class="command"><code>{escape(text)}</code>{button}</span>')


def network(identity: str, name: str = "") -> Markup:
    """Return an architecture's id, or its name, which the page's scripts turn into a button that draws it."""
    return Markup(f'<code data-network="{escape(identity)}">{escape(name or identity)}</code>')


def missing(what: str, how: str) -> str:
    """Return a note that a part is not there yet, with the command that adds it."""
    return f'<p class="missing">{escape(what)} This adds it: {command(how).html}</p>'


def inline(cell: Cell) -> str:
    """Return the HTML of a cell: markup as it is, text escaped."""
    return cell.html if isinstance(cell, Markup) else escape(cell)


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table that scrolls sideways on a narrow screen; the first cell of a row is its heading."""
    head = "".join(f'<th scope="col"{align(column)}>{escape(column.title)}</th>' for column in columns)
    body = "".join(f"<tr>{table_row(columns, row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def thinned(rows: Sequence[Item]) -> list[Item]:
    """Return at most about MAX_TABLE_ROWS rows, evenly spaced, the last one always among them."""
    stride = -(-len(rows) // MAX_TABLE_ROWS) or 1
    return [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % stride == 0]


def table_row(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    """Return the cells of one row."""
    first, *rest = zip(columns, row, strict=True)
    cells = [f'<th scope="row"{align(first[0])}>{inline(first[1])}</th>']
    cells += [f"<td{align(column)}>{inline(cell)}</td>" for column, cell in rest]
    return "".join(cells)


def align(column: Column) -> str:
    """Return the attribute that right-aligns numbers."""
    return ' class="number"' if column.numeric else ""


def plot(name: str, chart: go.Figure, finding: str, fallback: str = "") -> str:
    """Return a figure with its finding as caption and, folded below, the same data as a table."""
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
