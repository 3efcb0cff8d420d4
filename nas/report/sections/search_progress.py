"""Progress of the search: hypervolume over evaluations, beside that of plain searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.report.content import ReportData
from nas.report.figures import BLUE, GREY, ORANGE, figure
from nas.report.html import Cell, Column, missing, paragraph, plot, table, thinned
from nas.report.search_quality import History, quality_sentences
from nas.report.wording import ABSENT, search_command

if TYPE_CHECKING:
    import plotly.graph_objects as go


def search_progress(data: ReportData) -> str:
    """Return the section."""
    if not data.hypervolume:
        return missing("There is no history of the search.", search_command(data))
    histories = {} if data.quality is None else data.quality.baseline_history
    volumes = {name: dict(history) for name, history in histories.items()}
    columns = (Column("evaluations"), Column("hypervolume"), *(Column(f"{name} search") for name in volumes))
    rows: list[list[Cell]] = [
        [
            str(count),
            f"{value:.5g}",
            *(f"{volume[count]:.5g}" if count in volume else ABSENT for volume in volumes.values()),
        ]
        for count, value in thinned(data.hypervolume)
    ]
    fallback = table("Hypervolume of the front", columns, rows)
    sentences = [] if data.quality is None else quality_sentences(data.quality)
    worth = paragraph(" ".join(f"{sentence}." for sentence in sentences)) if sentences else ""
    return worth + plot("hypervolume", hypervolume(data), hypervolume_sentence(data.hypervolume), fallback)


def hypervolume_sentence(history: History) -> str:
    """Return when the search had reached 95 % of its final hypervolume."""
    total, final = history[-1]
    reached = next(count for count, value in history if value >= 0.95 * final)
    return f"The search reached 95 % of its final hypervolume after {reached} of {total} evaluations."


def hypervolume(data: ReportData) -> go.Figure:
    """Draw the front's hypervolume after each number of evaluations, beside that of plain searches if known."""
    import plotly.graph_objects as go

    histories = {} if data.quality is None else data.quality.baseline_history
    lines = [("this search", data.hypervolume, BLUE, "solid")]
    lines += [
        (f"{name} search, on the predictor", histories[name], fill, dash)
        for name, fill, dash in (("local", ORANGE, "dash"), ("random", GREY, "dot"))
        if name in histories
    ]
    traces = [
        go.Scatter(
            x=[count for count, _ in history],
            y=[value for _, value in history],
            mode="lines",
            line={"shape": "hv", "color": fill, "width": 2, "dash": dash},
            name=name,
        )
        for name, history, fill, dash in lines
    ]
    x, y = {"title": {"text": "evaluations"}}, {"title": {"text": "hypervolume (larger is better)"}}
    return figure(traces, x, y, height=340)
