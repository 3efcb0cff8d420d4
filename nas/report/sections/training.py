"""Training of the supernet: accuracy of the extreme and of random subnets over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.report.content import ReportData
from nas.report.figures import BLUE, GREEN, GREY, ORANGE, figure
from nas.report.html import Cell, Column, missing, plot, table, thinned
from nas.report.training_epoch import TrainingEpoch
from nas.report.wording import ABSENT, percent_or_dash
from nas.units import format_count

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = tuple(map(Column, ("epoch", "loss", "largest", "random", "smallest", "seconds", "images")))


def training(data: ReportData) -> str:
    """Return the section."""
    if not data.training:
        return missing("There is no record of the supernet's training.", "nas train-supernet --resume")
    rows: list[list[Cell]] = [
        [
            str(epoch.epoch),
            ABSENT if epoch.loss is None else f"{epoch.loss:.3f}",
            percent_or_dash(epoch.accuracy_largest),
            percent_or_dash(epoch.accuracy_random),
            percent_or_dash(epoch.accuracy_smallest),
            ABSENT if epoch.seconds is None else f"{epoch.seconds:.0f}",
            ABSENT if epoch.images is None else format_count(epoch.images),
        ]
        for epoch in thinned(data.training)
    ]
    fallback = table("Training of the supernet", COLUMNS, rows)
    return plot("training", training_curves(data.training), training_sentence(data.training), fallback)


def training_sentence(epochs: Sequence[TrainingEpoch]) -> str:
    """Return the accuracies that the last logged epoch reached."""
    last = next((epoch for epoch in reversed(epochs) if epoch.accuracy_largest is not None), None)
    if last is None:
        return f"The supernet was trained for {len(epochs)} logged steps."
    numbers = (
        f"largest {percent_or_dash(last.accuracy_largest)}, random {percent_or_dash(last.accuracy_random)}, "
        f"smallest {percent_or_dash(last.accuracy_smallest)}"
    )
    return f"After epoch {last.epoch} the validation accuracy of its subnets with inherited weights is: {numbers}."


def training_curves(epochs: Sequence[TrainingEpoch]) -> go.Figure:
    """Draw validation accuracy of the largest, a random and the smallest subnet above, the loss below."""
    import plotly.graph_objects as go

    traces: list[Any] = []
    for name, label, symbol, line in (
        ("accuracy_largest", "largest subnet", "square", BLUE),
        ("accuracy_random", "random subnets", "circle", ORANGE),
        ("accuracy_smallest", "smallest subnet", "diamond", GREEN),
        ("loss", "training loss", "x", GREY),
    ):
        logged = [epoch for epoch in epochs if getattr(epoch, name) is not None]
        traces.append(
            go.Scatter(
                x=[epoch.epoch for epoch in logged],
                y=[getattr(epoch, name) for epoch in logged],
                yaxis="y2" if name == "loss" else "y",
                mode="lines+markers" if len(logged) <= 60 else "lines",
                name=label,
                line={"color": line, "width": 2},
                marker={"symbol": symbol, "size": 6},
            )
        )
    y = {"title": {"text": "accuracy"}, "tickformat": ".0%", "domain": [0.42, 1.0]}
    loss = {"title": {"text": "loss"}, "domain": [0.0, 0.30]}
    return figure(traces, {"title": {"text": "epoch"}, "anchor": "y2"}, y, yaxis2=loss)
