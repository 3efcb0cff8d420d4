"""Whether inherited accuracies rank networks as stand-alone training does."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from nas.report.audit import Audit
from nas.report.content import ReportData
from nas.report.figures import BLUE, GREY, ORANGE, ends, figure
from nas.report.html import Cell, Column, missing, plot, table
from nas.report.wording import milliseconds, percent, points
from nas.units import format_count

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = (
    Column("network", numeric=False),
    Column("preset", numeric=False),
    Column("inherited (validation)"),
    Column("trained alone (validation)"),
    Column("difference (points)"),
    Column("MACs"),
    Column("latency (ms)"),
)


def ranking(data: ReportData) -> str:
    """Return the section."""
    if data.audit is None:
        return missing("No network has been trained alone: the order of the search is unchecked.", "nas audit")
    rows: list[list[Cell]] = [
        [
            network.id,
            network.preset or "",
            percent(network.inherited),
            percent(network.standalone),
            points(network.standalone - network.inherited).removesuffix(" points"),
            format_count(network.macs),
            milliseconds(network.latency_ms),
        ]
        for network in sorted(data.audit.networks, key=lambda network: -network.standalone)
    ]
    fallback = table("Inherited and stand-alone accuracy", COLUMNS, rows)
    return plot("ranking", inherited_against_standalone(data.audit), ranking_sentence(data.audit), fallback)


def ranking_sentence(audit: Audit) -> str:
    """Return what the comparison found, with its intervals, and whether it can be more than chance."""
    figures = audit.ranking
    sure = "" if figures.low > 0 else " The interval holds 0: the order may be chance."
    bound = ""
    if audit.ceiling is not None:
        bound = f" Two trainings alone agree to {audit.ceiling.kendall_tau:.2f}, which no supernet can exceed."
    cost = "" if audit.macs is None else f" Their MACs alone give {audit.macs.kendall_tau:.2f}."
    return (
        f"{figures.n} networks trained alone from scratch for {audit.epochs} epochs: Kendall tau "
        f"{figures.kendall_tau:.2f} (95 % interval {figures.low:.2f} to {figures.high:.2f}), Spearman "
        f"{figures.spearman:.2f} ({figures.spearman_low:.2f} to {figures.spearman_high:.2f}); alone they reach "
        f"{points(audit.mean_gap)} on average.{cost}{sure}{bound}"
    )


def inherited_against_standalone(audit: Audit) -> go.Figure:
    """Draw inherited over stand-alone accuracy; both are equal on the line."""
    import plotly.graph_objects as go

    line = ends([network.standalone for network in audit.networks])
    traces = [go.Scatter(x=line, y=line, mode="lines", name="inherited = alone", line={"color": GREY})]
    for label, symbol, fill, is_preset in (("sampled", "circle", BLUE, False), ("preset", "diamond", ORANGE, True)):
        networks = [network for network in audit.networks if (network.preset is not None) == is_preset]
        if not networks:
            continue
        traces.append(
            go.Scatter(
                x=[network.standalone for network in networks],
                y=[network.inherited for network in networks],
                mode="markers",
                name=label,
                marker={"symbol": symbol, "color": fill, "size": 9},
                text=[escape(network.preset or network.id) for network in networks],
                hovertemplate="%{text}<br>alone %{x:.1%}<br>inherited %{y:.1%}<extra></extra>",
            )
        )
    x = {"title": {"text": "trained alone (validation)"}, "tickformat": ".1%"}
    y = {"title": {"text": "inherited (validation)"}, "tickformat": ".1%"}
    return figure(traces, x, y, height=460)
