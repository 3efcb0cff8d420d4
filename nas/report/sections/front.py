"""Accuracy against latency: the Pareto front as a figure, with its caption."""

from __future__ import annotations

from nas.report import pareto_figure
from nas.report.content import ReportData, evaluated, timed
from nas.report.html import missing, plot
from nas.report.wording import search_command


def front(data: ReportData) -> str:
    """Return the section."""
    if not evaluated(data) and not data.front and not data.presets and not timed(data, data.compare):
        return missing("Nothing has been evaluated.", search_command(data))
    finding = f"{len(data.front)} of {len(evaluated(data))} evaluated architectures form the front (steps)."
    hidden = pareto_figure.num_left_out(data)
    finding += f" {hidden} dominated ones are not drawn." if hidden > 0 else ""
    chart = pareto_figure.pareto_front(data)
    low = chart.layout.yaxis.range[0]
    below = sum(row.accuracy < low for row in evaluated(data))
    finding += f" {below} of lower accuracy lie below the frame." if below else ""
    finding += pareto_figure.off_the_scale(data, low) + " Bars are 90 % intervals of the predicted latency."
    finding += " Triangles are hand-designed patterns in the same weights." if data.presets else ""
    finding += (
        " Two kinds of accuracy: dots, steps and triangles show inherited weights on the validation split at predicted"
        " latency; stars and diamonds show trained networks on the test split"
        " at measured latency. Dotted lines join a network's two values."
        if data.compare
        else " Accuracy is that of inherited weights on the validation split; latency is predicted."
    )
    return plot("front", chart, finding)
