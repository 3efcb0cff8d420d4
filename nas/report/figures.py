"""One function per figure of the report: data -> plotly figure. Text colours come from the page's style sheet.

Colours: Okabe & Ito 2008, "Color Universal Design"; each series also has its own marker or pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from nas.report.content import ReportData
from nas.report.findings import Shares

if TYPE_CHECKING:
    import plotly.graph_objects as go

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8A8F98"
BROWN, OLIVE, NAVY = "#8C510A", "#6B7A1E", "#1F3A5F"  # beyond Okabe & Ito's eight; told apart by pattern as well
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)
CLEAR, GRID, EDGE = "rgba(0,0,0,0)", "rgba(128,128,128,0.22)", "rgba(128,128,128,0.6)"
PATTERNS = ("", "/", ".", "x", "\\", "-", "+", "|")
KIND_COLOURS = {
    "basic": BLUE,
    "conv": SKY,
    "gated-conv": GREEN,
    "ssd": ORANGE,
    "attention": PURPLE,
    "nc-ssd": VERMILLION,
    "large-kernel": YELLOW,
    "pool": GREY,
    "hsm": BROWN,
    "multiscale": OLIVE,
    "state-fusion": NAVY,
}
WIDE_RANGE = 6.0  # largest / smallest latency from which an axis is logarithmic


def colour(choice: str, known: Sequence[str]) -> str:
    """The colour of a block kind, else one by its place among `known`."""
    return KIND_COLOURS.get(choice) or PALETTE[known.index(choice) % len(PALETTE)]


def figure(
    traces: Sequence[Any], x: Mapping[str, Any], y: Mapping[str, Any], height: int = 440, **more: Any
) -> go.Figure:
    """A figure in the report's style: transparent, horizontal legend on top, thin grid."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": GRID,
        "linecolor": EDGE,
        "tickcolor": EDGE,
        "zeroline": False,
        "ticks": "outside",
        "automargin": True,
        "title": {"standoff": 12},
    }
    layout = {
        "template": "none",
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 12, "b": 48},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "modebar": {"bgcolor": CLEAR, "color": GREY, "activecolor": BLUE},
        "hovermode": "closest",
    }
    chart = go.Figure(data=list(traces), layout=layout)
    chart.update_layout(xaxis=dict(x), yaxis=dict(y), **more)
    chart.update_xaxes(axis)
    return chart.update_yaxes(axis)


def pattern(place: int) -> dict[str, Any]:
    """A bar's pattern by its place in the legend: light lines over the colour."""
    shape = PATTERNS[(place + place // len(PALETTE)) % len(PATTERNS)]  # colours repeat: another pattern then
    return {"shape": shape, "size": 7, "solidity": 0.2, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.75)"}


def latency_axis(values: Sequence[float], title: str) -> dict[str, Any]:
    """An axis in milliseconds with room at both ends; logarithmic where the values span a factor of 6 or more."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= WIDE_RANGE:
        room = 0.07 * math.log10(high / low)
        ends = [math.log10(low) - room, math.log10(high) + room]
        marks = [digit * 10.0**power for power in range(-5, 6) for digit in (1, 2, 5)]
        ticks = {"tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks]}
        return {"title": {"text": f"{title} (ms, log scale)"}, "type": "log", "range": ends} | ticks
    room = 0.07 * (high - low) or 0.1 * high
    return {"title": {"text": f"{title} (ms)"}, "range": [low - room, high + room]}


def predicted_against_measured(data: ReportData) -> go.Figure:
    """Whole networks: the table's prediction over the measurement; a perfect table lies on the line."""
    import plotly.graph_objects as go

    networks = data.table["validation"]["networks"]
    values = [row[name] for row in networks for name in ("measured_ms", "predicted_ms")]
    traces = [
        go.Scatter(x=ends(values), y=ends(values), mode="lines", name="predicted = measured", line={"color": GREY})
    ]
    for split, label, symbol, fill in (
        ("fit", "used to fit the correction", "circle-open", BLUE),
        ("held-out", "held out", "square", VERMILLION),
    ):
        rows = [row for row in networks if row["split"] == split]
        traces.append(
            go.Scatter(
                x=[row["measured_ms"] for row in rows],
                y=[row["predicted_ms"] for row in rows],
                mode="markers",
                name=label,
                marker={
                    "symbol": symbol,
                    "color": fill,
                    "size": 9,
                    "line": {"width": 2 * (split == "fit"), "color": fill},
                },
                text=[escape(str(row["id"])) for row in rows],
                hovertemplate="%{text}<br>measured %{x:.3g} ms<br>predicted %{y:.3g} ms<extra></extra>",
            )
        )
    x, y = latency_axis(values, "measured"), latency_axis(values, "predicted")
    return figure(traces, x, y, height=460)


def inherited_against_alone(data: ReportData) -> go.Figure:
    """Networks of an audit: inherited over stand-alone accuracy; the line is where both are equal."""
    import plotly.graph_objects as go

    networks = data.audit["networks"]
    line = ends([row["alone"] for row in networks])
    traces = [go.Scatter(x=line, y=line, mode="lines", name="inherited = alone", line={"color": GREY})]
    for label, symbol, fill, is_preset in (("sampled", "circle", BLUE, False), ("preset", "diamond", ORANGE, True)):
        rows = [row for row in networks if (row["preset"] is not None) == is_preset]
        if not rows:
            continue
        traces.append(
            go.Scatter(
                x=[row["alone"] for row in rows],
                y=[row["inherited"] for row in rows],
                mode="markers",
                name=label,
                marker={"symbol": symbol, "color": fill, "size": 9},
                text=[escape(str(row["preset"] or row["id"])) for row in rows],
                hovertemplate="%{text}<br>alone %{x:.1%}<br>inherited %{y:.1%}<extra></extra>",
            )
        )
    x = {"title": {"text": "trained alone (validation)"}, "tickformat": ".1%"}
    y = {"title": {"text": "inherited (validation)"}, "tickformat": ".1%"}
    return figure(traces, x, y, height=460)


def ends(values: Sequence[float]) -> list[float]:
    """The smallest and the largest value."""
    return [min(values), max(values)]


def training_curves(data: ReportData) -> go.Figure:
    """Validation accuracy of the largest, a random and the smallest subnet above; the loss below."""
    import plotly.graph_objects as go

    traces: list[Any] = []
    for name, label, symbol, line in (
        ("accuracy_largest", "largest subnet", "square", BLUE),
        ("accuracy_random", "random subnets", "circle", ORANGE),
        ("accuracy_smallest", "smallest subnet", "diamond", GREEN),
        ("loss", "training loss", "x", GREY),
    ):
        rows = [row for row in data.training if row.get(name) is not None]
        traces.append(
            go.Scatter(
                x=[row["epoch"] for row in rows],
                y=[row[name] for row in rows],
                yaxis="y2" if name == "loss" else "y",
                mode="lines+markers" if len(rows) <= 60 else "lines",
                name=label,
                line={"color": line, "width": 2},
                marker={"symbol": symbol, "size": 6},
            )
        )
    y = {"title": {"text": "accuracy"}, "tickformat": ".0%", "domain": [0.42, 1.0]}
    loss = {"title": {"text": "loss"}, "domain": [0.0, 0.30]}
    return figure(traces, {"title": {"text": "epoch"}, "anchor": "y2"}, y, yaxis2=loss)


def hypervolume(data: ReportData) -> go.Figure:
    """Hypervolume of the front after each number of evaluations, beside that of plain searches where it is known."""
    import plotly.graph_objects as go

    controls = data.sanity.get("control_history", {})
    lines = [("this search", data.hypervolume, BLUE, "solid")]
    lines += [
        (f"{name} search, on the predictor", controls[name], fill, dash)
        for name, fill, dash in (("local", ORANGE, "dash"), ("random", GREY, "dot"))
        if name in controls
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


def choice_shares(front: Shares, everything: Shares) -> go.Figure:
    """Per stage two stacked bars, the front and everything evaluated: the share of each choice."""
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
