"""Trained networks beside hand-designed models: test accuracy and measured latency."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nas.report.compared_network import HAND_DESIGNED, ComparedNetwork
from nas.report.content import ReportData, baselines, hand_designed, known_ms, searched
from nas.report.html import Cell, Column, missing, paragraph, table
from nas.report.wording import ABSENT, milliseconds, percent, points, times
from nas.units import format_count

COLUMNS = (
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
    """Return the section."""
    if not data.compare:
        return missing("No network has been fine-tuned.", "nas finetune --pick best") + missing(
            "No hand-designed model has been trained beside it.", "nas compare --models resnet10t,convnext_atto"
        )
    rows = [network_row(data, network) for network in sorted(data.compare, key=lambda network: -network.accuracy)]
    body = paragraph(comparison_sentence(data), "finding")
    body += table("Trained networks, most accurate on the test split first", COLUMNS, rows)
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


def comparison_sentence(data: ReportData) -> str:
    """Return how many hand-designed models are beaten at equal or lower measured latency, and which are not."""
    networks, models = searched(data), baselines(data)
    if not networks or not models:
        absent = "fine-tuned network" if not networks else "hand-designed model"
        return f"There is no {absent} to compare with yet."
    unbeaten = []
    for model in models:
        best = best_not_slower(model, networks)
        if best is None or best.accuracy <= model.accuracy:
            unbeaten.append(model.name)
    beaten = len(models) - len(unbeaten)
    rest = f" Not beaten: {', '.join(unbeaten)}." if unbeaten else ""
    idle = [model.name for model in hand_designed(data) if model.has_learnt_nothing]
    rest += f" Left out, as they have learnt nothing by this recipe: {', '.join(idle)}." if idle else ""
    return (
        f"{beaten} of {len(models)} hand-designed models are beaten on the test split by a searched network "
        f"of equal or lower measured latency.{rest}"
    )


def best_not_slower(model: ComparedNetwork, networks: Iterable[ComparedNetwork]) -> ComparedNetwork | None:
    """Return the most accurate searched network whose measured latency is at most that of `model`."""
    limit = model.measured_ms
    able = [
        network
        for network in networks
        if limit is not None and network.measured_ms is not None and network.measured_ms <= limit
    ]
    return max(able, key=lambda network: network.accuracy, default=None)


def verdicts(data: ReportData) -> str:
    """Return each hand-designed model beside the network that answers it, a line each; p values come with seeds."""
    return "".join(
        paragraph(f"{model.counterpart}: {model.verdict}." if model.counterpart else f"{model.verdict}.")
        for model in hand_designed(data)
        if model.verdict
    )


def network_row(data: ReportData, network: ComparedNetwork) -> list[Cell]:
    """Return one trained network; for a hand-designed one also what the search has to set against it."""
    difference = ABSENT
    if network.kind == HAND_DESIGNED and (best := best_not_slower(network, searched(data))) is not None:
        difference = points(best.accuracy - network.accuracy).removesuffix(" points")
    spread = "" if network.accuracy_std is None else f" ± {100 * network.accuracy_std:.1f}"
    return [
        network.name,
        network.kind,
        percent(network.accuracy) + spread,
        latency_cell(data, network),
        within_limit(data, network),
        format_count(network.num_params),
        format_count(network.macs),
        difference,
        ABSENT if network.speed_up is None else times(network.speed_up),
        ABSENT if network.error_ratio is None else f"{network.error_ratio:.2f}×",
        ABSENT if network.images is None else format_count(network.images),
        network.recipe or ABSENT,
        network.source or ABSENT,
    ]


def latency_cell(data: ReportData, network: ComparedNetwork) -> str:
    """Return `1.26 measured`, or the prediction where the network was not measured whole."""
    latency_ms = known_ms(data, network)
    if latency_ms == math.inf:
        return ABSENT
    return f"{milliseconds(latency_ms)} {'predicted' if network.measured_ms is None else 'measured'}"


def within_limit(data: ReportData, network: ComparedNetwork) -> str:
    """Return whether a trained network keeps the limit; a dash without a limit or a latency."""
    latency_ms = known_ms(data, network)
    if data.max_latency_ms is None or latency_ms == math.inf:
        return ABSENT
    return "yes" if latency_ms <= data.max_latency_ms else "no"
