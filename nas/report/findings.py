"""What the figures say, in words and numbers: computed here, printed by the sections."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.report.content import (
    ReportData,
    Row,
    blocks_of,
    evaluation_of,
    hand_designed,
    known_ms,
    measured_ms,
    measured_of_evaluation,
    rivals,
    searched,
    timed,
)
from nas.report.wording import percent, points
from nas.units import format_milliseconds

Shares = dict[int, dict[str, float]]  # stage (from 1) -> choice -> share in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The network that answers the question the run asked."""

    identity: str
    accuracy: float  # on the test split if finetuned, else of inherited weights on the validation split
    accuracy_std: float | None
    finetuned: bool
    evaluation: Row | None  # with the predicted latency
    measured_ms: float | None
    within_limit: bool
    rival: Row | None  # the most accurate hand-designed model that takes at least as long
    rival_is_slower: bool  # it takes at least as long; otherwise every compared model is faster


def headline(data: ReportData) -> Headline | None:
    """Choose the most accurate fine-tuned network under the limit, else what comes nearest to that; None if nothing.

    It is chosen by its accuracy on the validation split where that is known; what it reaches on the test split is told.
    One whose latency on this device is not known, as it comes from a search for another, answers nothing here.
    """
    networks = timed(data, searched(data))
    limit = math.inf if data.max_latency_ms is None else data.max_latency_ms
    if not networks:
        return inherited_headline(data) if data.front else None
    within = [row for row in networks if known_ms(data, row) <= limit]
    if within:
        best = min(within, key=lambda row: (-row.get("validation_accuracy", row["accuracy"]), known_ms(data, row)))
    else:
        best = min(networks, key=lambda row: known_ms(data, row))
    rival, slower = strongest_rival(measured_ms(best), rivals(data))
    return Headline(
        identity=best["id"],
        accuracy=best["accuracy"],
        accuracy_std=best.get("accuracy_std"),
        finetuned=True,
        evaluation=evaluation_of(data, best["id"]),
        measured_ms=measured_ms(best),
        within_limit=bool(within),
        rival=rival,
        rival_is_slower=slower,
    )


def inherited_headline(data: ReportData) -> Headline:
    """The best of the front while nothing is fine-tuned; it is compared with no trained model."""
    best = max(data.front, key=lambda row: row["accuracy"])
    measured = measured_of_evaluation(data, best)
    latency = best["latency_ms"] if measured is None else measured
    return Headline(
        identity=best["id"],
        accuracy=best["accuracy"],
        accuracy_std=None,
        finetuned=False,
        evaluation=best,
        measured_ms=measured,
        within_limit=data.max_latency_ms is None or latency <= data.max_latency_ms,
        rival=None,
        rival_is_slower=False,
    )


def strongest_rival(latency_ms: float | None, models: Iterable[Row]) -> tuple[Row | None, bool]:
    """The most accurate hand-designed model that takes at least `latency_ms`, measured, and whether there is one.

    Where every model is faster, the slowest of them is returned with False; without any measurement, None.
    """
    pairs = [(time, model) for model in models if (time := measured_ms(model)) is not None]
    if latency_ms is None or not pairs:
        return None, False
    slower = [pair for pair in pairs if pair[0] >= latency_ms]
    if slower:
        return min(slower, key=lambda pair: (-pair[1]["accuracy"], pair[0]))[1], True
    return max(pairs, key=lambda pair: pair[0])[1], False


def nearest_slower(latency_ms: float, models: Iterable[Row]) -> Row | None:
    """The hand-designed model nearest in measured latency that takes at least `latency_ms`; None if all are faster."""
    pairs = [(time, model) for model in models if (time := measured_ms(model)) is not None and time >= latency_ms]
    return min(pairs, key=lambda pair: (pair[0], -pair[1]["accuracy"]))[1] if pairs else None


def headline_sentence(data: ReportData) -> str:
    """The answer in one or two sentences of plain text (not escaped)."""
    found = headline(data)
    if found is None:
        return "No feasible architecture has been found yet, so there is nothing to recommend."
    what = "test accuracy after fine-tuning" if found.finetuned else "validation accuracy with inherited weights"
    limit = ""
    if data.max_latency_ms is not None:
        place = "within" if found.within_limit else "over"
        limit = f", {place} the limit of {format_milliseconds(data.max_latency_ms)}"
    start = (
        f"The best network, {found.identity},"
        if found.within_limit
        else f"No network keeps the limit; {found.identity}"
    )
    answer = f"{start} reaches {percent(found.accuracy)} {what} at {latency_words(found)} on {data.device}{limit}."
    if not found.finetuned:
        return f"{answer} Nothing has been fine-tuned yet, so this is no test result."
    return f"{answer} {rival_sentence(found)}"


def latency_words(found: Headline) -> str:
    """`0.84 ms measured (0.80 ms predicted)`, as far as known."""
    evaluation = found.evaluation
    predicted = "" if evaluation is None else f"{format_milliseconds(evaluation['latency_ms'])} predicted"
    if found.measured_ms is None:
        return predicted or "unknown latency"
    measured = f"{format_milliseconds(found.measured_ms)} measured"
    return f"{measured} ({predicted})" if predicted else measured


def rival_sentence(found: Headline) -> str:
    """How the headline's network stands beside the hand-designed model that is hardest to beat."""
    if found.rival is None:
        return "No hand-designed model has been measured beside it yet."
    gain = found.accuracy - found.rival["accuracy"]
    if round(100 * gain, 1) == 0:
        comparison = "as much as"
    else:
        comparison = f"{points(abs(gain))[1:]} {'more' if gain > 0 else 'less'} than"
    time = measured_ms(found.rival)
    assert time is not None, "a rival is chosen by its measured latency"
    model = f"{found.rival['name']} ({percent(found.rival['accuracy'])}, {format_milliseconds(time)} measured)"
    if found.rival_is_slower:
        return (
            f"That is {comparison} {model}, the most accurate hand-designed model of equal or higher measured latency."
        )
    return f"Every compared hand-designed model is faster; this is {comparison} the slowest of them, {model}."


def best_not_slower(model: Row, networks: Iterable[Row]) -> Row | None:
    """The most accurate searched network whose measured latency is at most that of `model`."""
    limit = measured_ms(model)
    times = [(row, measured_ms(row)) for row in networks]
    able = [row for row, time in times if limit is not None and time is not None and time <= limit]
    return max(able, key=lambda row: row["accuracy"], default=None)


def comparison_sentence(data: ReportData) -> str:
    """How many hand-designed models are beaten at equal or lower measured latency, and which are not."""
    networks, models = searched(data), rivals(data)
    if not networks or not models:
        missing = "fine-tuned network" if not networks else "hand-designed model"
        return f"There is no {missing} to compare with yet."
    unbeaten = []
    for model in models:
        best = best_not_slower(model, networks)
        if best is None or best["accuracy"] <= model["accuracy"]:
            unbeaten.append(str(model["name"]))
    beaten = len(models) - len(unbeaten)
    rest = f" Not beaten: {', '.join(unbeaten)}." if unbeaten else ""
    idle = [str(row["name"]) for row in hand_designed(data) if row not in models]
    rest += f" Left out, as they have learnt nothing by this recipe: {', '.join(idle)}." if idle else ""
    return (
        f"{beaten} of {len(models)} hand-designed models are beaten on the test split by a searched network "
        f"of equal or lower measured latency.{rest}"
    )


def knee(front: Sequence[Row]) -> Row:
    """The member farthest from the chord between the front's extremes, both axes scaled to [0, 1]."""
    latency = [row["latency_ms"] for row in front]
    accuracy = [row["accuracy"] for row in front]
    width, height = max(latency) - min(latency) or 1.0, max(accuracy) - min(accuracy) or 1.0

    def height_above_chord(row: Row) -> float:
        return float((row["accuracy"] - min(accuracy)) / height - (row["latency_ms"] - min(latency)) / width)

    return max(front, key=height_above_chord)


def portraits(data: ReportData) -> dict[str, Row]:
    """The members of the front worth drawing: smallest latency, knee, best accuracy. Empty for an empty front."""
    if not data.front:
        return {}
    return {
        "smallest": min(data.front, key=lambda row: row["latency_ms"]),
        "knee": knee(data.front),
        "best": max(data.front, key=lambda row: row["accuracy"]),
    }


def kind_shares(rows: Iterable[Row]) -> Shares:
    """Share of every block kind among the blocks of each stage."""
    return shares((stage, block["kind"]) for row in rows for stage, block in blocks_of(row))


def direction_shares(rows: Iterable[Row]) -> Shares:
    """Share of every scan direction among all scans of each stage; stages without scans are absent."""
    return shares(
        (stage, direction)
        for row in rows
        for stage, block in blocks_of(row)
        for direction in block.get("directions") or ()
    )


def bits_shares(rows: Iterable[Row]) -> Shares:
    """Share of every bit-width among the blocks of each stage."""
    return shares((stage, bits_name(block)) for row in rows for stage, block in blocks_of(row))


def bits_name(block: Row) -> str:
    """`float`, or the bits in words."""
    bits = block.get("bits", "fp")
    return "float" if bits == "fp" else f"{bits} bit"


def depth_shares(rows: Iterable[Row]) -> Shares:
    """Share of every depth among the networks, per stage."""
    return shares(
        (number, f"{len(stage['blocks'])} deep")
        for row in rows
        for number, stage in enumerate(row["architecture"]["stages"], 1)
    )


def shares(choices: Iterable[tuple[int, str]]) -> Shares:
    """Count (stage, choice) pairs and divide by the number of each stage."""
    counts = Counter(choices)
    totals: Counter[int] = Counter()
    for (stage, _), count in counts.items():
        totals[stage] += count
    found: Shares = {stage: {} for stage in sorted(totals)}
    for (stage, choice), count in sorted(counts.items()):
        found[stage][choice] = count / totals[stage]
    return found


def preference_sentence(front: Shares, everything: Shares, things: str) -> str:
    """Name the choice whose share differs most between the front and everything evaluated."""
    differences = [
        (front[stage].get(choice, 0.0) - share, stage, choice)
        for stage in front
        for choice, share in everything.get(stage, {}).items()
    ]
    if not differences:
        return f"The front has no {things}."
    difference, stage, choice = max(differences, key=lambda item: (round(abs(item[0]), 6), item[0] > 0))
    if round(100 * difference) == 0:
        return f"The front chooses its {things} in the same shares as all evaluated architectures."
    verb = "favours" if difference > 0 else "avoids"
    return (
        f"In stage {stage} the front {verb} {choice}: {front[stage].get(choice, 0.0):.0%} of its {things}, "
        f"against {everything[stage][choice]:.0%} among all evaluated architectures."
    )


def fidelity_sentence(validation: Row) -> str:
    """How well the latency table predicts networks held out of its fit; figures that are absent are not mentioned."""
    mape, tau = validation["mape"], validation["kendall_tau"]
    noise, macs_mape, macs_tau = (validation.get(name) for name in ("noise_mape", "macs_mape", "macs_tau"))
    number = validation.get("n")
    text = f"On {number or 'the'} networks held out of the fit the table errs by {percent(mape)} on average (MAPE)"
    text += f" and ranks them with a Kendall tau of {tau:.2f}."
    if noise is not None:
        text += f" Measuring the same networks again differs by {percent(noise)}."
    if macs_mape is not None and macs_tau is not None:
        verdict = "a latency predicted from MACs alone errs by" if macs_mape > mape else "MACs alone do no worse:"
        text += f" For comparison, {verdict} {percent(macs_mape)} (tau {macs_tau:.2f})."
    if not validation.get("trustworthy", True):
        text += " Such predictions are for rough orientation only."
    return text


def hypervolume_sentence(history: Sequence[tuple[int, float]]) -> str:
    """When the search had reached 95 % of its final hypervolume."""
    total, final = history[-1]
    reached = next(count for count, value in history if value >= 0.95 * final)
    return f"The search reached 95 % of its final hypervolume after {reached} of {total} evaluations."
