"""Whether inherited accuracies rank networks as training them alone does. Data -> HTML."""

from __future__ import annotations

from nas.report import figures
from nas.report.content import ReportData, Row
from nas.report.html import Cell, Column, missing, plot, table
from nas.report.wording import milliseconds, percent, points
from nas.units import format_count

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
    """The networks of an audit: inherited against stand-alone accuracy."""
    if not data.audit:
        return missing("No network has been trained alone: the order of the search is unchecked.", "nas audit")
    rows: list[list[Cell]] = [
        [
            str(row["id"]),
            str(row["preset"] or ""),
            percent(row["inherited"]),
            percent(row["alone"]),
            points(row["alone"] - row["inherited"]).removesuffix(" points"),
            format_count(row["macs"]),
            milliseconds(row["latency_ms"]),
        ]
        for row in sorted(data.audit["networks"], key=lambda row: -row["alone"])
    ]
    finding = ranking_sentence(data.audit)
    fallback = table("Inherited and stand-alone accuracy", COLUMNS, rows)
    return plot("ranking", figures.inherited_against_alone(data), finding, fallback)


def ranking_sentence(audit: Row) -> str:
    """What the comparison found, with its intervals, and whether it can be more than chance."""
    found, ceiling = audit["ranking"], audit["ranking"]["ceiling"]
    sure = "" if found["low"] > 0 else " The interval holds 0: the order may be chance."
    bound = (
        f" Two trainings alone agree to {ceiling['kendall_tau']:.2f}, which no supernet can exceed." if ceiling else ""
    )
    cost = f" Their MACs alone give {found['macs']['kendall_tau']:.2f}." if "macs" in found else ""
    return (
        f"{found['n']} networks trained alone from scratch for {audit['epochs']} epochs: Kendall tau "
        f"{found['kendall_tau']:.2f} (95 % interval {found['low']:.2f} to {found['high']:.2f}), Spearman "
        f"{found['spearman']:.2f} ({found['spearman_low']:.2f} to {found['spearman_high']:.2f}); alone they reach "
        f"{points(found['mean_gap'])} on average.{cost}{sure}{bound}"
    )
