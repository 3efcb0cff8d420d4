"""What all figures of the report share: style, colours, axes. Text colours come from the page's style sheet.

Colours: Okabe & Ito 2008, "Color Universal Design"; each series also has its own marker or pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
Layout = dict[str, Any]  # a part of a plotly figure, such as an axis
WIDE_RANGE = 6.0  # largest / smallest latency from which an axis is logarithmic


def colour(choice: str, known: Sequence[str]) -> str:
    """Return the colour of a block kind, else one by its place among `known`."""
    return KIND_COLOURS.get(choice) or PALETTE[known.index(choice) % len(PALETTE)]


def figure(traces: Sequence[Any], x: Layout, y: Layout, height: int = 440, **more: Any) -> go.Figure:
    """Return a figure in the report's style: transparent, horizontal legend on top, thin grid."""
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


def pattern(place: int) -> Layout:
    """Return a bar's pattern by its place in the legend: light lines over the colour."""
    shape = PATTERNS[(place + place // len(PALETTE)) % len(PATTERNS)]  # colours repeat: another pattern then
    return {"shape": shape, "size": 7, "solidity": 0.2, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.75)"}


def latency_axis(values: Sequence[float], title: str) -> Layout:
    """Return an axis in milliseconds with room at both ends; logarithmic from a factor of WIDE_RANGE on."""
    low, high = min(values), max(values)
    if low > 0 and high / low >= WIDE_RANGE:
        room = 0.07 * math.log10(high / low)
        ends = [math.log10(low) - room, math.log10(high) + room]
        marks = [digit * 10.0**power for power in range(-5, 6) for digit in (1, 2, 5)]
        ticks = {"tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks]}
        return {"title": {"text": f"{title} (ms, log scale)"}, "type": "log", "range": ends} | ticks
    room = 0.07 * (high - low) or 0.1 * high
    return {"title": {"text": f"{title} (ms)"}, "range": [low - room, high + room]}


def ends(values: Sequence[float]) -> list[float]:
    """Return the smallest and the largest value."""
    return [min(values), max(values)]
