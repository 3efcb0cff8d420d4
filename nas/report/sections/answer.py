"""The answer: one sentence, four numbers, what was run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from nas.report.content import ReportData
from nas.report.headline import Headline, headline, headline_sentence
from nas.report.html import missing, paragraph
from nas.report.preset_verdicts import presets_sentence
from nas.report.wording import ABSENT, latency_origin, milliseconds, percent, points, search_command
from nas.units import format_milliseconds

if TYPE_CHECKING:
    from nas.search.evaluation_row import JudgedNetwork

Card = tuple[str, str, str]  # name, value, note


def answer(data: ReportData) -> str:
    """Return the section."""
    best = headline(data)
    limit = "no latency limit" if data.max_latency_ms is None else f"limit {format_milliseconds(data.max_latency_ms)}"
    count = data.num_evaluations or len(data.evaluations)
    place = f"{data.device}, {data.backend}, {limit}, {count} architectures evaluated"
    start = f"<h1>{escape(data.title)}</h1>{paragraph(place, 'place')}{paragraph(headline_sentence(data), 'answer')}"
    start += paragraph(latency_origin(data), "note")
    start += paragraph(presets_sentence(data.front, data.presets)) if data.presets else ""
    if best is None:
        return start + missing("The search has no result.", search_command(data))
    cards = "".join(
        f'<div class="card"><dt>{escape(name)}</dt>'
        f"<dd><strong>{escape(value)}</strong><span>{escape(note)}</span></dd></div>"
        for name, value, note in (accuracy_card(best), latency_card(best, data), gain_card(best), front_card(data))
    )
    return f'{start}<dl class="cards">{cards}</dl>'


def accuracy_card(best: Headline) -> Card:
    """Return the accuracy, with the kind it is of."""
    spread = "" if best.accuracy_std is None else f", ± {percent(best.accuracy_std)} over runs"
    if best.finetuned:
        return "Test accuracy", percent(best.accuracy), f"fine-tuned, test split{spread}"
    return "Validation accuracy", percent(best.accuracy), "inherited weights, not fine-tuned; not a test result"


def latency_card(best: Headline, data: ReportData) -> Card:
    """Return the latency: the measured one where it exists, with the prediction beside it."""
    predicted = ABSENT if best.evaluation is None else predicted_words(best.evaluation)
    if best.measured_ms is None:
        if best.evaluation is None:
            return f"Latency on {data.device}", ABSENT, "neither predicted nor measured"
        value = format_milliseconds(best.evaluation.latency_ms)
        return f"Latency on {data.device}", value, f"{predicted}; not measured whole"
    return f"Latency on {data.device}", format_milliseconds(best.measured_ms), f"measured; {predicted}"


def predicted_words(evaluation: JudgedNetwork) -> str:
    """Return `0.800 ms (0.760 to 0.840) predicted from measured blocks`, or that nothing was measured."""
    interval = f"{milliseconds(evaluation.latency_low_ms)} to {milliseconds(evaluation.latency_high_ms)}"
    value = milliseconds(evaluation.latency_ms)
    if evaluation.provenance == "predicted":
        return f"{value} ms ({interval}) predicted from a data sheet, never measured"
    return f"{value} ms ({interval}) predicted from {evaluation.provenance} blocks"


def gain_card(best: Headline) -> Card:
    """Return the difference in test accuracy to the hand-designed model that is hardest to beat."""
    if best.baseline is None:
        reason = "nothing measured to compare with" if best.finetuned else "fine-tune before comparing"
        return "Against hand-designed", ABSENT, reason
    time = best.baseline.measured_ms
    assert time is not None, "a baseline is chosen by its measured latency"
    relation = "the best as slow or slower" if best.baseline_is_slower else "faster: none is as slow"
    note = f"test accuracy, against {best.baseline.name} ({format_milliseconds(time)} measured, {relation})"
    return "Against hand-designed", points(best.accuracy - best.baseline.accuracy), note


def front_card(data: ReportData) -> Card:
    """Return the size and the span of the front."""
    if not data.front:
        return "Front", "0 networks", "nothing feasible evaluated"
    low, high = data.front[0].latency_ms, data.front[-1].latency_ms
    span = f"{format_milliseconds(low)} to {format_milliseconds(high)} predicted, a factor of {high / low:.1f}"
    return "Front", f"{len(data.front)} networks", span
