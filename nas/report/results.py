"""What was found: the answer, the front, the comparison. One function per section, data -> HTML."""

from __future__ import annotations

import math
import shlex
from html import escape

from nas.report import pareto_figure
from nas.report.content import (
    ReportData,
    Row,
    evaluated,
    hand_designed,
    known_ms,
    measured_ms,
    measured_of_evaluation,
    searched,
    timed,
)
from nas.report.findings import Headline, best_not_slower, comparison_sentence, headline, headline_sentence
from nas.report.html import Cell, Column, command, missing, network, paragraph, plot, table
from nas.report.presets import presets_sentence
from nas.report.wording import ABSENT, latency_origin, milliseconds, percent, points, search_command, times
from nas.units import format_bytes, format_count, format_milliseconds


def answer(data: ReportData) -> str:
    """The headline: one sentence, four numbers, what was run."""
    found = headline(data)
    limit = "no latency limit" if data.max_latency_ms is None else f"limit {format_milliseconds(data.max_latency_ms)}"
    count = data.num_evaluations or len(data.evaluations)
    place = f"{data.device}, {data.backend}, {limit}, {count} architectures evaluated"
    start = f"<h1>{escape(data.title)}</h1>{paragraph(place, 'place')}{paragraph(headline_sentence(data), 'answer')}"
    start += paragraph(latency_origin(data), "note")
    start += paragraph(presets_sentence(data.front, data.presets)) if data.presets else ""
    if found is None:
        return start + missing("The search has no result.", search_command(data))
    cards = "".join(
        f'<div class="card"><dt>{escape(name)}</dt>'
        f"<dd><strong>{escape(value)}</strong><span>{escape(note)}</span></dd></div>"
        for name, value, note in (accuracy_card(found), latency_card(found, data), gain_card(found), front_card(data))
    )
    return f'{start}<dl class="cards">{cards}</dl>'


def accuracy_card(found: Headline) -> tuple[str, str, str]:
    """Accuracy, with the kind it is of."""
    spread = "" if found.accuracy_std is None else f", ± {percent(found.accuracy_std)} over runs"
    if found.finetuned:
        return "Test accuracy", percent(found.accuracy), f"fine-tuned, test split{spread}"
    return "Validation accuracy", percent(found.accuracy), "inherited weights, not fine-tuned; not a test result"


def latency_card(found: Headline, data: ReportData) -> tuple[str, str, str]:
    """Latency, measured first where it was measured, with the prediction beside it."""
    predicted = ABSENT if found.evaluation is None else predicted_words(found.evaluation)
    if found.measured_ms is None:
        if found.evaluation is None:
            return f"Latency on {data.device}", ABSENT, "neither predicted nor measured"
        value = format_milliseconds(found.evaluation["latency_ms"])
        return f"Latency on {data.device}", value, f"{predicted}; not measured whole"
    return f"Latency on {data.device}", format_milliseconds(found.measured_ms), f"measured; {predicted}"


def predicted_words(evaluation: Row) -> str:
    """`0.800 ms (0.760 to 0.840) predicted from measured blocks`, or that nothing was measured."""
    interval = f"{milliseconds(evaluation['latency_low_ms'])} to {milliseconds(evaluation['latency_high_ms'])}"
    value = milliseconds(evaluation["latency_ms"])
    if evaluation["provenance"] == "predicted":
        return f"{value} ms ({interval}) predicted from a data sheet, never measured"
    return f"{value} ms ({interval}) predicted from {evaluation['provenance']} blocks"


def gain_card(found: Headline) -> tuple[str, str, str]:
    """Difference in test accuracy to the hand-designed model that is hardest to beat."""
    if found.rival is None:
        reason = "nothing measured to compare with" if found.finetuned else "fine-tune before comparing"
        return "Against hand-designed", ABSENT, reason
    time = measured_ms(found.rival)
    assert time is not None, "a rival is chosen by its measured latency"
    relation = "the best as slow or slower" if found.rival_is_slower else "faster: none is as slow"
    note = f"test accuracy, against {found.rival['name']} ({format_milliseconds(time)} measured, {relation})"
    return "Against hand-designed", points(found.accuracy - found.rival["accuracy"]), note


def front_card(data: ReportData) -> tuple[str, str, str]:
    """Size and span of the front."""
    if not data.front:
        return "Front", "0 networks", "nothing feasible evaluated"
    low, high = data.front[0]["latency_ms"], data.front[-1]["latency_ms"]
    span = f"{format_milliseconds(low)} to {format_milliseconds(high)} predicted, a factor of {high / low:.1f}"
    return "Front", f"{len(data.front)} networks", span


def front_figure(data: ReportData) -> str:
    """The Pareto front as a figure."""
    if not evaluated(data) and not data.front and not data.presets and not timed(data, data.compare):
        return missing("Nothing has been evaluated.", search_command(data))
    finding = f"{len(data.front)} of {len(evaluated(data))} evaluated architectures form the front (steps)."
    hidden = pareto_figure.num_left_out(data)
    finding += f" {hidden} dominated ones are not drawn." if hidden > 0 else ""
    chart = pareto_figure.pareto_front(data)
    low = chart.layout.yaxis.range[0]
    below = sum(row["accuracy"] < low for row in evaluated(data))
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


FRONT_COLUMNS = (
    Column("network", numeric=False),
    Column("validation, inherited"),
    Column("test, fine-tuned"),
    Column("predicted (ms)"),
    Column("interval (ms)"),
    Column("measured (ms)"),
    Column("blocks in the table", numeric=False),
    Column("params"),
    Column("MACs"),
    Column("size"),
    Column("input"),
    Column("next", numeric=False),
)


def front_table(data: ReportData) -> str:
    """The front as a table with a command per row."""
    if not data.front:
        return missing("The front is empty.", search_command(data))
    tested = {row["id"]: percent(row["accuracy"]) for row in searched(data)}
    rows: list[list[Cell]] = [
        [
            network(str(row["id"])),
            percent(row["accuracy"]),
            tested.get(row["id"], ABSENT),
            milliseconds(row["latency_ms"]),
            f"{milliseconds(row['latency_low_ms'])}–{milliseconds(row['latency_high_ms'])}",
            measured_cell(data, measured_of_evaluation(data, row)),
            row["provenance"],
            format_count(row["num_params"]),
            format_count(row["macs"]),
            format_bytes(row["size_bytes"]),
            f"{row['resolution']} px",
            command(f"nas finetune --pick {shlex.quote(str(row['id']))}"),
        ]
        for row in data.front
    ]
    return table("Pareto front, fastest first", FRONT_COLUMNS, rows)


def measured_cell(data: ReportData, value: float | None) -> str:
    """A measured latency, marked where it exceeds the limit."""
    over = value is not None and data.max_latency_ms is not None and value > data.max_latency_ms
    return f"{milliseconds(value)} > limit" if over else milliseconds(value)


COMPARE_COLUMNS = (
    Column("network", numeric=False),
    Column("kind", numeric=False),
    Column("test accuracy"),
    Column("latency (ms)"),
    Column("within limit", numeric=False),
    Column("params"),
    Column("MACs"),
    Column("best searched, not slower (points)"),
    Column("speed-up at equal accuracy"),
    Column("error at equal latency"),
    Column("images"),
    Column("recipe", numeric=False),
    Column("weights from", numeric=False),
)


def comparison(data: ReportData) -> str:
    """Trained networks beside each other: test accuracy and measured latency."""
    if not data.compare:
        return missing("No network has been fine-tuned.", "nas finetune --pick best") + missing(
            "No hand-designed model has been trained beside it.", "nas compare --models resnet10t,convnext_atto"
        )
    rows = [compare_row(data, row) for row in sorted(data.compare, key=lambda row: -row["accuracy"])]
    body = paragraph(comparison_sentence(data), "finding")
    body += table("Trained networks, most accurate on the test split first", COMPARE_COLUMNS, rows)
    body += paragraph(
        "The searched networks as one curve, interpolated between them: speed-up is the model's latency over theirs at "
        "its accuracy, error at equal latency is theirs over the model's own.",
        "note",
    )
    body += verdicts(data)
    if not searched(data):
        body += missing("No network of the search has been fine-tuned.", "nas finetune --pick best")
    if not hand_designed(data):
        body += missing("No hand-designed model is among them.", "nas compare --models resnet10t,convnext_atto")
    return body


def verdicts(data: ReportData) -> str:
    """What a searched network is beside each hand-designed one, in a line each; a p value where there were seeds."""
    told = [row for row in hand_designed(data) if row.get("verdict")]
    lines = [f"{row['rival']}: {row['verdict']}." if row.get("rival") else f"{row['verdict']}." for row in told]
    return "".join(paragraph(line) for line in lines)


def compare_row(data: ReportData, row: Row) -> list[Cell]:
    """One trained network; for a hand-designed one also what the search has to set against it."""
    difference = ABSENT
    if row["kind"] == "hand-designed" and (best := best_not_slower(row, searched(data))) is not None:
        difference = points(best["accuracy"] - row["accuracy"]).removesuffix(" points")
    spread = "" if row.get("accuracy_std") is None else f" ± {100 * row['accuracy_std']:.1f}"
    return [
        str(row["name"]),
        row["kind"],
        percent(row["accuracy"]) + spread,
        latency_cell(data, row),
        within_limit(data, row),
        format_count(row["num_params"]),
        format_count(row["macs"]),
        difference,
        ABSENT if row.get("speed_up") is None else times(row["speed_up"]),
        ABSENT if row.get("error_ratio") is None else f"{row['error_ratio']:.2f}×",
        format_count(row["images"]) if row.get("images") is not None else ABSENT,
        str(row.get("recipe", ABSENT)),
        str(row.get("source", ABSENT)),
    ]


def latency_cell(data: ReportData, row: Row) -> str:
    """`1.26 measured`, or the prediction where the network was not measured whole."""
    latency_ms = known_ms(data, row)
    if latency_ms == math.inf:
        return ABSENT
    return f"{milliseconds(latency_ms)} {'predicted' if measured_ms(row) is None else 'measured'}"


def within_limit(data: ReportData, row: Row) -> str:
    """Whether a trained network keeps the limit; a dash without a limit or a latency."""
    latency_ms = known_ms(data, row)
    if data.max_latency_ms is None or latency_ms == math.inf:
        return ABSENT
    return "yes" if latency_ms <= data.max_latency_ms else "no"
