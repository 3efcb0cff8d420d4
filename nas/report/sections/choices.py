"""What the front prefers, against everything that was evaluated."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from nas.report.content import ReportData
from nas.report.figures import colour, figure, pattern
from nas.report.html import Cell, Column, missing, paragraph, plot, table
from nas.report.shares import Shares, bits_shares, depth_shares, direction_shares, kind_shares, preference_sentence
from nas.report.wording import search_command

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = (
    Column("stage", numeric=False),
    Column("choice", numeric=False),
    Column("front"),
    Column("all evaluated"),
)


def choices(data: ReportData) -> str:
    """Return the section."""
    if not data.front:
        return missing("There is no front to look at.", search_command(data))
    everything = data.evaluations or data.front
    body = paragraph(
        f"Shares among the blocks of {len(data.front)} networks on the front and of {len(everything)} evaluated ones. "
        "The search itself drifts towards good choices, so the evaluated ones are no uniform sample of the space.",
        "note",
    )
    for name, things, count in (
        ("kinds", "blocks", kind_shares),
        ("directions", "scans", direction_shares),
        ("bits", "bit-widths", bits_shares),
        ("depths", "depths", depth_shares),
    ):
        front, all_shares = count(data.front), count(everything)
        if len({choice for stage in all_shares.values() for choice in stage}) > 1:  # else there was nothing to choose
            body += shares_plot(name, things, front, all_shares)
    return body


def shares_plot(name: str, things: str, front: Shares, everything: Shares) -> str:
    """Return a figure of shares per stage with its table."""
    rows: list[list[Cell]] = [
        [
            f"stage {stage}",
            choice,
            f"{front.get(stage, {}).get(choice, 0.0):.0%}",
            f"{everything.get(stage, {}).get(choice, 0.0):.0%}",
        ]
        for stage in sorted(front | everything)
        for choice in sorted(front.get(stage, {}) | everything.get(stage, {}))
    ]
    finding = preference_sentence(front, everything, things)
    return plot(name, choice_shares(front, everything), finding, table(f"Shares of {things}", COLUMNS, rows))


def choice_shares(front: Shares, everything: Shares) -> go.Figure:
    """Draw two stacked bars per stage, the front and everything evaluated: the share of each choice."""
    import plotly.graph_objects as go

    choices = sorted({choice for shares in (front, everything) for stage in shares.values() for choice in stage})
    bars = [(stage, group) for stage in sorted(front | everything, reverse=True) for group in ("all", "front")]
    source = {"all": everything, "front": front}
    traces = [
        go.Bar(
            x=[source[group].get(stage, {}).get(choice, 0.0) for stage, group in bars],
            y=[f"stage {stage}, {group}" for stage, group in bars],
            orientation="h",
            name=escape(choice),
            marker={"color": colour(choice, choices), "pattern": pattern(place)},
            hovertemplate="%{y}<br>%{x:.0%}<extra>%{fullData.name}</extra>",
        )
        for place, choice in enumerate(choices)
    ]
    x = {"title": {"text": "share"}, "tickformat": ".0%", "range": [0, 1]}
    return figure(traces, x, {}, height=110 + 34 * len(bars), barmode="stack", bargap=0.25)
