"""The figure of the Pareto front: latency against accuracy of everything evaluated, trained and compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from nas.report.compared_network import ComparedNetwork
from nas.report.content import (
    ReportData,
    evaluated,
    evaluation_of,
    hand_designed,
    known_ms,
    measured_of_evaluation,
    searched,
    sound,
    timed,
)
from nas.report.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, Layout, figure, latency_axis
from nas.report.wording import percent
from nas.space.architecture import Architecture

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nas.search.evaluation_row import EvaluationRow, FrontMember, PresetRow

MAX_CLOUD = 2000  # dominated points drawn; more only make the page heavy


def pareto_front(data: ReportData) -> go.Figure:
    """Draw latency against accuracy: everything evaluated, the front, trained networks, the limit.

    Traces appear only where they have points, in the order: evaluated, infeasible, links, front, front measured,
    presets, fine-tuned, hand-designed, limit. A link joins a fine-tuned network to its own evaluation. A point of an
    architecture carries its id, by which the page draws it.
    """
    models = sorted(timed(data, hand_designed(data)), key=lambda row: -row.accuracy)  # the legend shows the first
    networks = timed(data, searched(data))
    presets = sound(data.presets)
    whole = [row for row in data.front if measured_of_evaluation(data, row) is not None]
    cloud = dominated(data)
    ours = [row.accuracy for row in (*data.front, *presets)] + [network.accuracy for network in networks]
    ours = ours or [row.accuracy for row in cloud]
    times = [known_ms(data, row) for row in (*models, *networks)]
    times += [row.latency_ms for row in (*data.front, *presets, *cloud)]
    times += [] if data.max_latency_ms is None else [data.max_latency_ms]
    low, high = accuracy_range(ours, [row.accuracy for row in models])
    traces = cloud_traces(cloud)
    traces += [link_trace(data, networks)] if networks else []
    traces += [front_trace(data.front)] if data.front else []
    traces += [measured_trace(data, whole)] if whole else []
    traces += [preset_trace(presets)] if presets else []
    traces += trained_traces(data, networks, models, times, low)
    if data.max_latency_ms is not None:
        traces.append(limit_trace(data.max_latency_ms, low, high))
    x = latency_axis(times, f"latency on {escape(data.device)}")
    y = {"title": {"text": "accuracy"}, "tickformat": ".1~%", "range": [low, high]}
    return figure(traces, x, y, height=520)


def accuracy_range(ours: Sequence[float], models: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: they hold all of `ours`, and the hand-designed `models` that do not flatten them.

    A model is drawn on the lower edge instead if it lies further below ours than ours and the better models span.
    """
    ours = ours or models
    lowest, highest = min(ours), max(*ours, *models)
    near = [value for value in models if value >= lowest - max(highest - lowest, 0.02)]
    low, high = min([lowest, *near]), highest
    room = 0.08 * (high - low) or 0.02
    return low - room, high + room


def dominated(data: ReportData) -> list[EvaluationRow]:
    """Return `unnamed` evaluations, thinned evenly to at most MAX_CLOUD."""
    rows = unnamed(data)
    stride = math.ceil(len(rows) / MAX_CLOUD) or 1
    return rows[::stride]


def num_left_out(data: ReportData) -> int:
    """Return how many evaluations the figure leaves out, so that the page stays light."""
    return len(unnamed(data)) - len(dominated(data))


def unnamed(data: ReportData) -> list[EvaluationRow]:
    """Return the evaluations with an accuracy that are neither on the front nor presets."""
    members = {row.id for row in (*data.front, *data.presets)}
    return [row for row in evaluated(data) if row.id not in members]


def cloud_traces(rows: Sequence[EvaluationRow]) -> list[Any]:
    """Draw dominated architectures as small grey dots, infeasible ones hollow."""
    import plotly.graph_objects as go

    groups = {
        "evaluated (validation, predicted)": ([row for row in rows if row.feasible], "circle"),
        "infeasible": ([row for row in rows if not row.feasible], "circle-open"),
    }
    return [
        go.Scatter(
            x=[row.latency_ms for row in members],
            y=[row.accuracy for row in members],
            mode="markers",
            name=name,
            marker={"color": GREY, "size": 5, "opacity": 0.55, "symbol": symbol},
            ids=[row.id for row in members],
            hoverinfo="none",
        )
        for name, (members, symbol) in groups.items()
        if members
    ]


def front_trace(front: Sequence[FrontMember]) -> Any:
    """Draw the front as steps: between two members the faster one is still the best there is."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=[row.latency_ms for row in front],
        y=[row.accuracy for row in front],
        mode="lines+markers",
        line={"shape": "hv", "color": BLUE, "width": 2},
        marker={"size": 7, "symbol": "circle"},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [row.latency_high_ms - row.latency_ms for row in front],
            "arrayminus": [row.latency_ms - row.latency_low_ms for row in front],
            "thickness": 1.2,
            "width": 3,
        },
        name="front (validation, predicted)",
        ids=[row.id for row in front],
        text=[
            f"<b>{escape(row.id)}</b><br>{percent(row.accuracy)} validation, inherited weights<br>"
            f"{row.latency_ms:.3g} ms predicted, {row.latency_low_ms:.3g} to {row.latency_high_ms:.3g}<br>"
            f"{escape(describe(row.architecture))}"
            for row in front
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def measured_trace(data: ReportData, rows: Sequence[FrontMember]) -> Any:
    """Draw members of the front whose whole network was measured: crosses at that latency."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=[measured_of_evaluation(data, row) for row in rows],
        y=[row.accuracy for row in rows],
        mode="markers",
        marker={"symbol": "x-thin-open", "size": 7, "color": VERMILLION, "line": {"width": 1.5, "color": VERMILLION}},
        name="front (validation, measured)",
        ids=[row.id for row in rows],
        text=[escape(row.id) for row in rows],
        hovertemplate="<b>%{text}</b><br>%{y:.1%} validation<br>%{x:.3g} ms measured<extra></extra>",
    )


def preset_trace(presets: Sequence[PresetRow]) -> Any:
    """Draw hand-designed patterns, in the same weights as the front, as triangles; hollow where they exceed a limit."""
    import plotly.graph_objects as go

    symbols = ["triangle-up" if row.feasible else "triangle-up-open" for row in presets]
    return go.Scatter(
        x=[row.latency_ms for row in presets],
        y=[row.accuracy for row in presets],
        mode="markers",
        marker={"symbol": symbols, "color": ORANGE, "size": 11, "line": {"width": 1, "color": ORANGE}},
        name="hand-designed pattern (validation, predicted)",
        ids=[row.id for row in presets],
        text=[
            f"<b>{escape(row.name)}</b><br>{escape(row.source)}<br>"
            f"{percent(row.accuracy)} validation, inherited weights<br>{row.latency_ms:.3g} ms predicted"
            f"{'' if row.feasible else ', over a limit'}<br>{escape(describe(row.architecture))}"
            for row in presets
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def describe(architecture: Architecture) -> str:
    """Return an architecture in one line: `32 px: 2x basic @16, ssd conv @32`."""
    stages = (f"{' '.join(block.kind for block in stage.blocks)} @{stage.width}" for stage in architecture.stages)
    return f"{architecture.resolution} px: {', '.join(stages)}"


def link_trace(data: ReportData, networks: Sequence[ComparedNetwork]) -> Any:
    """Draw dotted lines from the evaluation of a fine-tuned network to its own star."""
    import plotly.graph_objects as go

    x: list[float | None] = []
    y: list[float | None] = []
    for row in networks:
        evaluation = evaluation_of(data, row.id)
        if evaluation is not None:
            x += [evaluation.latency_ms, known_ms(data, row), None]
            y += [evaluation.accuracy, row.accuracy, None]
    line = {"color": VERMILLION, "width": 1, "dash": "dot"}
    return go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip", name="link")


def trained_traces(
    data: ReportData,
    networks: Sequence[ComparedNetwork],
    models: Sequence[ComparedNetwork],
    times: Sequence[float],
    low: float,
) -> list[Any]:
    """Draw fine-tuned networks as stars, hand-designed models as named diamonds: test accuracy of both.

    One that is less accurate than `low`, the axis' lower end, is a triangle there; `off_the_scale` names it.
    """
    traces = []
    if networks:
        star = {"symbol": "star", "color": VERMILLION, "size": 14}
        traces.append(trained_trace(data, networks, "fine-tuned", "markers", star, times, low))
    if models:
        diamond = {"symbol": "diamond", "color": GREEN, "size": 11}
        traces.append(trained_trace(data, models, "hand-designed", "markers+text", diamond, times, low))
    return traces


def trained_trace(
    data: ReportData,
    networks: Sequence[ComparedNetwork],
    label: str,
    mode: str,
    marker: Layout,
    times: Sequence[float],
    low: float,
) -> Any:
    """Draw trained networks of one kind."""
    import plotly.graph_objects as go

    in_frame = [network.accuracy >= low for network in networks]
    return go.Scatter(
        x=[known_ms(data, network) for network in networks],
        y=[max(network.accuracy, low) for network in networks],
        mode=mode,
        text=[escape(f" {network.name} ") if shown else "" for network, shown in zip(networks, in_frame, strict=True)],
        textposition=[label_position(known_ms(data, network), times) for network in networks],
        textfont={"size": 11},
        cliponaxis=False,
        marker={
            "symbol": [marker["symbol"] if shown else "triangle-down" for shown in in_frame],
            "color": marker["color"],
            "size": marker["size"],
            "line": {"width": 1, "color": "white"},
        },
        name=f"{label} (test, {latency_kind(networks)})",
        ids=[network.id for network in networks],
        customdata=[
            [escape(network.name), network.accuracy, "predicted" if network.measured_ms is None else "measured"]
            for network in networks
        ],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]:.1%} test<br>%{x:.3g} ms %{customdata[2]}"
        "<extra></extra>",
    )


def off_the_scale(data: ReportData, low: float) -> str:
    """Return a sentence on the trained networks below `low`, the axis' lower end; nothing without any."""
    below = [row for row in timed(data, data.compare) if row.accuracy < low]
    names = ", ".join(f"{row.name} ({percent(row.accuracy)})" for row in below)
    return f" Off the scale, as triangles on the lower edge: {names}." if names else ""


def latency_kind(networks: Sequence[ComparedNetwork]) -> str:
    """Return `measured` if all of these trained networks were measured, else both kinds."""
    return "measured" if all(network.measured_ms is not None for network in networks) else "measured or predicted"


def label_position(latency_ms: float, times: Sequence[float]) -> str:
    """Return the side of a point where its name has room: the left in the last 40 % of the (logarithmic) axis."""
    low, high = math.log(min(times)), math.log(max(times))
    return "middle right" if math.log(latency_ms) < 0.4 * low + 0.6 * high else "middle left"


def limit_trace(max_latency_ms: float, low: float, high: float) -> Any:
    """Draw the latency limit as a dashed vertical line."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=[max_latency_ms, max_latency_ms],
        y=[low, high],
        mode="lines",
        line={"color": PURPLE, "width": 2, "dash": "dash"},
        name=f"limit {max_latency_ms:.3g} ms",
        hoverinfo="name",
    )
