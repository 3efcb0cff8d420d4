"""Three networks drawn: the smallest, the knee and the best of the front."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from nas.report import drawing
from nas.report.content import ReportData
from nas.report.html import missing, paragraph
from nas.report.wording import percent, search_command
from nas.units import format_count, format_milliseconds

if TYPE_CHECKING:
    from nas.search.evaluation_row import FrontMember, JudgedNetwork


def drawings(data: ReportData) -> str:
    """Return the section."""
    drawn = portraits(data)
    if not drawn:
        return missing("There is no architecture to draw.", search_command(data))
    kinds = drawing.kinds_of((*data.evaluations, *drawn.values()))
    cards = "".join(
        f'<article class="portrait"><h3>{name}: <code>{escape(row.id)}</code></h3>'
        f"{paragraph(portrait_words(row), 'note')}{drawing.strips(row.architecture, kinds)}</article>"
        for name, row in drawn.items()
    )
    hint = paragraph("With JavaScript, a click on a point of the front's figure, or on a name, draws that one.", "note")
    return f'{hint}{drawing.legend(kinds)}<div class="portraits">{cards}</div>'


def portraits(data: ReportData) -> dict[str, FrontMember]:
    """Return the members of the front worth drawing: smallest latency, knee, best accuracy; empty without a front."""
    if not data.front:
        return {}
    return {
        "smallest": min(data.front, key=lambda row: row.latency_ms),
        "knee": knee(data.front),
        "best": max(data.front, key=lambda row: row.accuracy),
    }


def knee(front: Sequence[FrontMember]) -> FrontMember:
    """Return the member that `--pick knee` takes: farthest from the chord between the front's extremes."""
    import numpy as np

    from nas import statistics

    costs = np.array([[-row.accuracy, row.latency_ms] for row in front])
    return front[statistics.knee(costs)]


def portrait_words(row: JudgedNetwork) -> str:
    """Return accuracy, latency and cost of a drawn architecture."""
    return (
        f"{percent(row.accuracy)} validation with inherited weights, {format_milliseconds(row.latency_ms)} "
        f"predicted, {format_count(row.num_params)} parameters, {format_count(row.macs)} MACs"
    )
