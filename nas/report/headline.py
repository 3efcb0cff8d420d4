"""The answer of a report: the network to recommend, and how it compares with hand-designed models."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.compared_network import ComparedNetwork
from nas.report.content import (
    ReportData,
    baselines,
    evaluation_of,
    known_ms,
    measured_of_evaluation,
    searched,
    timed,
)
from nas.report.wording import percent, points
from nas.units import format_milliseconds

if TYPE_CHECKING:
    from nas.search.evaluation_row import JudgedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The network that answers the question the run asked."""

    identity: str
    accuracy: float  # on the test split if finetuned, else of inherited weights on the validation split
    accuracy_std: float | None
    finetuned: bool
    evaluation: JudgedNetwork | None  # with the predicted latency
    measured_ms: float | None
    within_limit: bool
    baseline: ComparedNetwork | None  # the most accurate hand-designed model that takes at least as long
    baseline_is_slower: bool  # it takes at least as long; otherwise every compared model is faster


def headline(data: ReportData) -> Headline | None:
    """Return the most accurate fine-tuned network under the limit, else the one nearest to it; None if there is none.

    It is chosen by its accuracy on the validation split where that is known. Its accuracy on the test split is
    reported. A network whose latency on this device is unknown comes from a search for another and is left out.
    """
    networks = timed(data, searched(data))
    limit = math.inf if data.max_latency_ms is None else data.max_latency_ms
    if not networks:
        return inherited_headline(data) if data.front else None
    within = [network for network in networks if known_ms(data, network) <= limit]
    if within:
        best = min(within, key=lambda network: (-selection_accuracy(network), known_ms(data, network)))
    else:
        best = min(networks, key=lambda network: known_ms(data, network))
    baseline, slower = strongest_baseline(best.measured_ms, baselines(data))
    return Headline(
        identity=best.id,
        accuracy=best.accuracy,
        accuracy_std=best.accuracy_std,
        finetuned=True,
        evaluation=evaluation_of(data, best.id),
        measured_ms=best.measured_ms,
        within_limit=bool(within),
        baseline=baseline,
        baseline_is_slower=slower,
    )


def selection_accuracy(network: ComparedNetwork) -> float:
    """Return the accuracy that a network is chosen by: on the validation split where it is known."""
    return network.accuracy if network.validation_accuracy is None else network.validation_accuracy


def inherited_headline(data: ReportData) -> Headline:
    """Return the best of the front while nothing is fine-tuned; it is compared with no trained model."""
    best = max(data.front, key=lambda row: row.accuracy)
    measured = measured_of_evaluation(data, best)
    latency = best.latency_ms if measured is None else measured
    return Headline(
        identity=best.id,
        accuracy=best.accuracy,
        accuracy_std=None,
        finetuned=False,
        evaluation=best,
        measured_ms=measured,
        within_limit=data.max_latency_ms is None or latency <= data.max_latency_ms,
        baseline=None,
        baseline_is_slower=False,
    )


def measured_latencies(models: Iterable[ComparedNetwork]) -> list[tuple[float, ComparedNetwork]]:
    """Return the measured models, each with its latency in milliseconds."""
    return [(model.measured_ms, model) for model in models if model.measured_ms is not None]


def strongest_baseline(
    latency_ms: float | None, models: Iterable[ComparedNetwork]
) -> tuple[ComparedNetwork | None, bool]:
    """Return the most accurate hand-designed model that takes at least `latency_ms`, measured, and whether it exists.

    Where every model is faster, the slowest of them is returned with False; without any measurement, None.
    """
    pairs = measured_latencies(models)
    if latency_ms is None or not pairs:
        return None, False
    slower = [pair for pair in pairs if pair[0] >= latency_ms]
    if slower:
        return min(slower, key=lambda pair: (-pair[1].accuracy, pair[0]))[1], True
    return max(pairs, key=lambda pair: pair[0])[1], False


def nearest_slower(latency_ms: float, models: Iterable[ComparedNetwork]) -> ComparedNetwork | None:
    """Return the model nearest in measured latency that takes at least `latency_ms`; None if all are faster."""
    pairs = [pair for pair in measured_latencies(models) if pair[0] >= latency_ms]
    return min(pairs, key=lambda pair: (pair[0], -pair[1].accuracy))[1] if pairs else None


def headline_sentence(data: ReportData) -> str:
    """Return the answer in one or two sentences of plain text (not escaped)."""
    best = headline(data)
    if best is None:
        return "No feasible architecture has been found yet, so there is nothing to recommend."
    what = "test accuracy after fine-tuning" if best.finetuned else "validation accuracy with inherited weights"
    limit = ""
    if data.max_latency_ms is not None:
        place = "within" if best.within_limit else "over"
        limit = f", {place} the limit of {format_milliseconds(data.max_latency_ms)}"
    start = (
        f"The best network, {best.identity}," if best.within_limit else f"No network keeps the limit; {best.identity}"
    )
    answer = f"{start} reaches {percent(best.accuracy)} {what} at {latency_words(best)} on {data.device}{limit}."
    if not best.finetuned:
        return f"{answer} Nothing has been fine-tuned yet, so this is no test result."
    return f"{answer} {baseline_sentence(best)}"


def latency_words(best: Headline) -> str:
    """Return `0.84 ms measured (0.80 ms predicted)`, as far as known."""
    predicted = "" if best.evaluation is None else f"{format_milliseconds(best.evaluation.latency_ms)} predicted"
    if best.measured_ms is None:
        return predicted or "unknown latency"
    measured = f"{format_milliseconds(best.measured_ms)} measured"
    return f"{measured} ({predicted})" if predicted else measured


def baseline_sentence(best: Headline) -> str:
    """Return how the network compares with the hand-designed model that is hardest to beat."""
    if best.baseline is None:
        return "No hand-designed model has been measured beside it yet."
    gain = best.accuracy - best.baseline.accuracy
    if round(100 * gain, 1) == 0:
        comparison = "as much as"
    else:
        comparison = f"{points(abs(gain))[1:]} {'more' if gain > 0 else 'less'} than"
    time = best.baseline.measured_ms
    assert time is not None, "a baseline is chosen by its measured latency"
    model = f"{best.baseline.name} ({percent(best.baseline.accuracy)}, {format_milliseconds(time)} measured)"
    if best.baseline_is_slower:
        return (
            f"That is {comparison} {model}, the most accurate hand-designed model of equal or higher measured latency."
        )
    return f"Every compared hand-designed model is faster; this is {comparison} the slowest of them, {model}."
