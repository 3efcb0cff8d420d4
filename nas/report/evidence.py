"""Why it can be believed and how it came about: table fidelity, training, search, choices. Data -> HTML."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from nas.report import figures
from nas.report.content import ReportData, Row
from nas.report.findings import (
    Shares,
    bits_shares,
    depth_shares,
    direction_shares,
    fidelity_sentence,
    hypervolume_sentence,
    kind_shares,
    preference_sentence,
)
from nas.report.html import Cell, Column, missing, paragraph, plot, table
from nas.report.sanity import quality_sentences
from nas.report.wording import ABSENT, milliseconds, percent, percent_or_dash, search_command
from nas.units import format_count

MAX_TABLE_ROWS = 40  # of a folded table; longer histories are thinned evenly


def fidelity(data: ReportData) -> str:
    """Whether predicted latencies can be believed."""
    validation = data.table.get("validation")
    how = f"nas profile --device {shlex.quote(data.device)} --validate 24"
    if not validation or not validation.get("networks"):
        return missing("No whole network has been measured: the predictions are unchecked.", how)
    columns = (
        Column("network", numeric=False),
        Column("measured (ms)"),
        Column("predicted (ms)"),
        Column("error"),
        Column("used for"),
    )
    rows: list[list[Cell]] = [
        [
            str(row["id"]),
            milliseconds(row["measured_ms"]),
            milliseconds(row["predicted_ms"]),
            f"{100 * (row['predicted_ms'] / row['measured_ms'] - 1):+.1f} %",
            {"fit": "correction", "held-out": "test"}[row["split"]],
        ]
        for row in sorted(validation["networks"], key=lambda row: row["measured_ms"])
    ]
    finding = fidelity_sentence(validation)
    return fidelity_numbers(validation) + plot(
        "fidelity",
        figures.predicted_against_measured(data),
        finding,
        table("Predicted and measured latency", columns, rows),
    )


def fidelity_numbers(validation: Row) -> str:
    """The held-out error beside the rerun noise and the MACs baseline."""
    columns = (
        Column("predictor", numeric=False),
        Column("MAPE"),
        Column("Kendall tau"),
        Column("bias"),
        Column("90 % within"),
    )

    def cells(name: str, keys: Sequence[str]) -> list[Cell]:
        values = [validation.get(key) for key in keys]
        shown = [ABSENT if value is None else percent(value) for value in values]
        if len(values) > 1 and values[1] is not None:
            shown[1] = f"{values[1]:.2f}"
        if len(values) > 2 and values[2] is not None:
            shown[2] = f"{100 * values[2]:+.1f} %"
        return [name, *(shown + [ABSENT] * 4)[:4]]

    rows = [
        cells("latency table", ("mape", "kendall_tau", "bias", "p90")),
        cells("MACs alone", ("macs_mape", "macs_tau")),
        cells("measuring again (noise)", ("noise_mape",)),
    ]
    return table("Error on held-out networks", columns, rows)


def training(data: ReportData) -> str:
    """Accuracy of the extreme and of random subnets over the epochs."""
    if not data.training:
        return missing("There is no record of the supernet's training.", "nas train-supernet --resume")
    names = ("accuracy_largest", "accuracy_random", "accuracy_smallest")
    last = next((row for row in reversed(data.training) if row.get("accuracy_largest") is not None), None)
    finding = f"The supernet was trained for {len(data.training)} logged steps."
    if last is not None:
        numbers = ", ".join(f"{name.removeprefix('accuracy_')} {percent_or_dash(last.get(name))}" for name in names)
        finding = (
            f"After epoch {last['epoch']} the validation accuracy of its subnets with inherited weights is: {numbers}."
        )
    columns = tuple(map(Column, ("epoch", "loss", "largest", "random", "smallest", "seconds", "images")))
    rows: list[list[Cell]] = [
        [
            str(row["epoch"]),
            ABSENT if row.get("loss") is None else f"{row['loss']:.3f}",
            *(percent_or_dash(row.get(name)) for name in names),
            ABSENT if row.get("seconds") is None else f"{row['seconds']:.0f}",
            ABSENT if row.get("images") is None else format_count(row["images"]),
        ]
        for row in thinned(data.training)
    ]
    return plot("training", figures.training_curves(data), finding, table("Training of the supernet", columns, rows))


def search_progress(data: ReportData) -> str:
    """Hypervolume over evaluations."""
    if not data.hypervolume:
        return missing("There is no history of the search.", search_command(data))
    controls = {name: dict(history) for name, history in data.sanity.get("control_history", {}).items()}
    columns = (Column("evaluations"), Column("hypervolume"), *(Column(f"{name} search") for name in controls))
    rows: list[list[Cell]] = [
        [str(count), f"{value:.5g}", *(f"{each[count]:.5g}" if count in each else ABSENT for each in controls.values())]
        for count, value in thinned(data.hypervolume)
    ]
    fallback = table("Hypervolume of the front", columns, rows)
    worth = paragraph(" ".join(f"{sentence}." for sentence in quality_sentences(data.sanity))) if data.sanity else ""
    return worth + plot("hypervolume", figures.hypervolume(data), hypervolume_sentence(data.hypervolume), fallback)


def thinned(rows: Sequence[Any]) -> list[Any]:
    """At most about MAX_TABLE_ROWS rows, evenly spaced, the last one always among them."""
    stride = -(-len(rows) // MAX_TABLE_ROWS) or 1
    return [row for place, row in enumerate(rows) if (len(rows) - 1 - place) % stride == 0]


def choices(data: ReportData) -> str:
    """What the front prefers, against everything that was evaluated."""
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
    """A figure of shares per stage with its table."""
    columns = (
        Column("stage", numeric=False),
        Column("choice", numeric=False),
        Column("front"),
        Column("all evaluated"),
    )
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
    return plot(name, figures.choice_shares(front, everything), finding, table(f"Shares of {things}", columns, rows))
