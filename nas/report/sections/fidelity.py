"""Whether predicted latencies can be believed: whole networks, predicted and measured."""

from __future__ import annotations

import shlex
from html import escape
from typing import TYPE_CHECKING

from nas.report.content import ReportData
from nas.report.figures import BLUE, GREY, VERMILLION, ends, figure, latency_axis
from nas.report.html import Cell, Column, missing, plot, table
from nas.report.table_facts import Validation
from nas.report.wording import ABSENT, milliseconds, percent, percent_or_dash

if TYPE_CHECKING:
    import plotly.graph_objects as go

NETWORK_COLUMNS = (
    Column("network", numeric=False),
    Column("measured (ms)"),
    Column("predicted (ms)"),
    Column("error"),
    Column("used for"),
)
ERROR_COLUMNS = (
    Column("predictor", numeric=False),
    Column("MAPE"),
    Column("Kendall tau"),
    Column("bias"),
    Column("90 % within"),
)


def fidelity(data: ReportData) -> str:
    """Return the section."""
    validation = None if data.table is None else data.table.validation
    if validation is None or not validation.networks:
        how = f"nas profile --device {shlex.quote(data.device)} --validate 24"
        return missing("No whole network has been measured: the predictions are unchecked.", how)
    rows: list[list[Cell]] = [
        [
            network.id,
            milliseconds(network.measured_ms),
            milliseconds(network.predicted_ms),
            f"{100 * (network.predicted_ms / network.measured_ms - 1):+.1f} %",
            {"fit": "correction", "held-out": "test"}[network.split],
        ]
        for network in sorted(validation.networks, key=lambda network: network.measured_ms)
    ]
    fallback = table("Predicted and measured latency", NETWORK_COLUMNS, rows)
    chart = predicted_against_measured(validation)
    return error_table(validation) + plot("fidelity", chart, fidelity_sentence(validation), fallback)


def error_table(validation: Validation) -> str:
    """Return the held-out error beside the rerun noise and the MACs baseline."""
    bias = ABSENT if validation.bias is None else f"{100 * validation.bias:+.1f} %"
    tau_of_macs = ABSENT if validation.macs_tau is None else f"{validation.macs_tau:.2f}"
    table_cells = [percent(validation.mape), f"{validation.kendall_tau:.2f}", bias, percent_or_dash(validation.p90)]
    rows: list[list[Cell]] = [
        ["latency table", *table_cells],
        ["MACs alone", percent_or_dash(validation.macs_mape), tau_of_macs, ABSENT, ABSENT],
        ["measuring again (noise)", percent_or_dash(validation.noise_mape), ABSENT, ABSENT, ABSENT],
    ]
    return table("Error on held-out networks", ERROR_COLUMNS, rows)


def fidelity_sentence(validation: Validation) -> str:
    """Return how well the latency table predicts networks held out of its fit; absent figures are not mentioned."""
    mape, noise, macs_mape = validation.mape, validation.noise_mape, validation.macs_mape
    text = f"On {validation.n or 'the'} networks held out of the fit the table errs by {percent(mape)} on average"
    text += f" (MAPE) and ranks them with a Kendall tau of {validation.kendall_tau:.2f}."
    if noise is not None:
        text += f" Measuring the same networks again differs by {percent(noise)}."
    if macs_mape is not None and validation.macs_tau is not None:
        verdict = "a latency predicted from MACs alone errs by" if macs_mape > mape else "MACs alone do no worse:"
        text += f" For comparison, {verdict} {percent(macs_mape)} (tau {validation.macs_tau:.2f})."
    if not validation.trustworthy:
        text += " Such predictions are for rough orientation only."
    return text


def predicted_against_measured(validation: Validation) -> go.Figure:
    """Draw the table's prediction over the measurement of whole networks; a perfect table lies on the line."""
    import plotly.graph_objects as go

    values = [value for network in validation.networks for value in (network.measured_ms, network.predicted_ms)]
    traces = [
        go.Scatter(x=ends(values), y=ends(values), mode="lines", name="predicted = measured", line={"color": GREY})
    ]
    for split, label, symbol, fill in (
        ("fit", "used to fit the correction", "circle-open", BLUE),
        ("held-out", "held out", "square", VERMILLION),
    ):
        networks = [network for network in validation.networks if network.split == split]
        traces.append(
            go.Scatter(
                x=[network.measured_ms for network in networks],
                y=[network.predicted_ms for network in networks],
                mode="markers",
                name=label,
                marker={
                    "symbol": symbol,
                    "color": fill,
                    "size": 9,
                    "line": {"width": 2 * (split == "fit"), "color": fill},
                },
                text=[escape(network.id) for network in networks],
                hovertemplate="%{text}<br>measured %{x:.3g} ms<br>predicted %{y:.3g} ms<extra></extra>",
            )
        )
    x, y = latency_axis(values, "measured"), latency_axis(values, "predicted")
    return figure(traces, x, y, height=460)
