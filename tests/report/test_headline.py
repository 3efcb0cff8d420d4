from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import statistics
from nas.report import ReportData
from nas.report.compared_network import ComparedNetwork
from nas.report.headline import headline, headline_sentence, nearest_slower, strongest_baseline
from nas.report.sections.comparison import best_not_slower, comparison_sentence
from nas.report.sections.drawings import knee, portraits
from nas.report.sections.fidelity import fidelity_sentence
from nas.report.sections.search_progress import hypervolume_sentence
from nas.report.shares import kind_shares, preference_sentence, shares
from nas.report.table_facts import Validation
from nas.search.evaluation_row import EvaluationRow, FrontMember
from nas.space.architecture import Architecture, Block, Stage


def network(name: str, kind: str, accuracy: float, latency_ms: float | None) -> ComparedNetwork:
    return ComparedNetwork(
        name=name,
        kind=kind,
        id=name,
        accuracy=accuracy,
        latency_ms=latency_ms,
        num_params=1000,
        macs=1000,
        provenance="measured",
    )


def architecture(name: str) -> Architecture:
    return Architecture(32, (Stage(8, (Block.of(name),)),))


def figures(name: str, accuracy: float, latency_ms: float) -> dict[str, Any]:
    latencies = {"latency_ms": latency_ms, "latency_low_ms": latency_ms, "latency_high_ms": latency_ms}
    costs = dict.fromkeys(("num_params", "macs", "size_bytes", "bitops"), 1)
    return {"architecture": architecture(name), "accuracy": accuracy, "provenance": "measured", **latencies, **costs}


A, B, C = (architecture(name).id for name in "abc")


MODELS = (
    network("quick", "hand-designed", 0.99, 0.9),
    network("near", "hand-designed", 0.95, 1.1),
    network("far", "hand-designed", 0.97, 3.0),
    network("unmeasured", "hand-designed", 0.98, None),
)


@pytest.fixture
def constructed(empty: ReportData) -> ReportData:
    members = [figures("a", 0.80, 0.5), figures("b", 0.90, 1.0), figures("c", 0.91, 1.9)]
    searched = (network(B, "searched", 0.96, 1.05), network(C, "searched", 0.98, 2.2))
    return replace(
        empty,
        max_latency_ms=2.0,
        evaluations=tuple(EvaluationRow(**member) for member in members),
        front=tuple(FrontMember(**member) for member in members),
        compare=(*searched, *MODELS),
    )


def test_the_headline_is_the_most_accurate_network_whose_measured_latency_keeps_the_limit(
    constructed: ReportData,
) -> None:
    best = headline(constructed)
    assert best is not None
    # c is more accurate and predicted to fit, but measured at 2.2 ms
    assert (best.identity, best.accuracy, best.measured_ms) == (B, 0.96, 1.05)
    assert best.evaluation is not None
    assert best.evaluation.latency_ms == 1.0


def test_the_baseline_is_the_most_accurate_hand_designed_model_of_equal_or_higher_measured_latency(
    constructed: ReportData,
) -> None:
    best = headline(constructed)
    assert best is not None
    assert best.baseline is not None
    assert best.baseline.name == "far"
    assert best.baseline_is_slower
    sentence = headline_sentence(constructed)
    assert f"{B}, reaches 96.0\u00a0% test accuracy after fine-tuning at 1.05 ms measured (1 ms predicted)" in sentence
    assert "1.0 points less than far (97.0\u00a0%, 3 ms measured)" in sentence


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), max_size=6), st.floats(0.1, 10))
def test_no_slower_model_is_more_accurate_than_the_baseline_or_nearer_than_the_nearest(
    measured: list[tuple[float, float]], own: float
) -> None:
    models = [network(str(place), "hand-designed", *pair[::-1]) for place, pair in enumerate(measured)]
    baseline, slower = strongest_baseline(own, models)
    expected = [(time, accuracy) for time, accuracy in measured if time >= own]
    assert slower == bool(expected)
    nearest = nearest_slower(own, models)
    assert (nearest and nearest.latency_ms) == min((time for time, _ in expected), default=None)
    if expected:
        assert baseline is not None and baseline.accuracy == max(accuracy for _, accuracy in expected)
    else:
        assert (baseline and baseline.latency_ms) == max((time for time, _ in measured), default=None)


def test_a_model_of_exactly_equal_latency_is_a_baseline() -> None:
    assert strongest_baseline(1.1, MODELS[:2]) == (MODELS[1], True)
    assert nearest_slower(1.1, MODELS) == MODELS[1]


def test_a_worse_result_is_reported_as_worse(constructed: ReportData) -> None:
    only_far = [row for row in constructed.compare if row.name not in {"near", "quick"}]
    assert "1.0 points less than far" in headline_sentence(replace(constructed, compare=tuple(only_far)))


def test_it_is_said_when_every_hand_designed_model_is_faster(constructed: ReportData) -> None:
    data = replace(constructed, compare=(constructed.compare[0], MODELS[0]))
    assert "Every compared hand-designed model is faster" in headline_sentence(data)
    assert "3.0 points less than the slowest of them, quick" in headline_sentence(data)


def test_it_is_said_when_no_network_keeps_the_limit(constructed: ReportData) -> None:
    data = replace(constructed, max_latency_ms=0.2)
    sentence = headline_sentence(data)
    assert sentence.startswith(f"No network keeps the limit; {B} reaches")
    assert "over the limit of 200 us" in sentence


def test_inherited_accuracy_is_never_compared_with_test_accuracy(constructed: ReportData) -> None:
    data = replace(constructed, compare=MODELS)
    best = headline(data)
    assert best is not None
    assert (best.identity, best.finetuned, best.baseline) == (C, False, None)
    sentence = headline_sentence(data)
    assert "91.0\u00a0% validation accuracy with inherited weights at 1.9 ms predicted" in sentence
    assert not any(model.name in sentence for model in MODELS)


def test_an_unmeasured_network_is_judged_by_its_prediction_and_has_no_baseline(constructed: ReportData) -> None:
    data = replace(constructed, compare=(network(B, "searched", 0.96, None), *MODELS))
    best = headline(data)
    assert best is not None
    assert (best.measured_ms, best.within_limit, best.baseline) == (None, True, None)
    assert "at 1 ms predicted on" in headline_sentence(data)


def test_nothing_found_is_said(empty: ReportData) -> None:
    assert headline(empty) is None
    assert "nothing to recommend" in headline_sentence(empty)


def test_a_model_is_beaten_only_by_a_network_that_is_not_slower(constructed: ReportData) -> None:
    networks = constructed.compare[:2]
    assert best_not_slower(MODELS[0], networks) is None
    assert best_not_slower(MODELS[1], networks) == networks[0]
    assert best_not_slower(MODELS[2], networks) == networks[1]
    assert comparison_sentence(constructed).startswith("2 of 4 hand-designed models are beaten")
    assert comparison_sentence(constructed).endswith("Not beaten: quick, unmeasured.")


points_of_a_front = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), min_size=1, max_size=8)


@settings(deadline=None)
@given(points_of_a_front)
def test_the_knee_is_the_one_the_search_picks(members: list[tuple[float, float]]) -> None:
    front = [FrontMember(**figures(str(place), accuracy, latency)) for place, (latency, accuracy) in enumerate(members)]
    costs = np.array([[latency, -accuracy] for latency, accuracy in members])
    scaled = (costs - costs.min(0)) / np.where(np.ptp(costs, 0) > 0, np.ptp(costs, 0), 1)
    picked = statistics.knee(costs)
    assert scaled[front.index(knee(front))].sum() == pytest.approx(scaled[picked].sum(), abs=1e-9)


def test_portraits_are_the_extremes_and_the_knee(constructed: ReportData) -> None:
    assert {name: row.id for name, row in portraits(constructed).items()} == {
        "smallest": A,
        "knee": B,
        "best": C,
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc")), max_size=30))
def test_shares_of_a_stage_add_up_to_one(choices: list[tuple[int, str]]) -> None:
    by_stage = shares(choices)
    assert set(by_stage) == {stage for stage, _ in choices}
    assert all(sum(stage.values()) == pytest.approx(1) for stage in by_stage.values())


def test_the_strongest_preference_is_named(complete: ReportData) -> None:
    everything = {1: {"conv": 0.5, "ssd": 0.5}, 2: {"basic": 0.2, "conv": 0.8}}
    front = {1: {"conv": 0.4, "ssd": 0.6}, 2: {"basic": 0.9, "conv": 0.1}}
    sentence = preference_sentence(front, everything, "blocks")
    assert sentence == (
        "In stage 2 the front favours basic: 90% of its blocks, against 20% among all evaluated architectures."
    )
    assert "avoids ssd: 0%" in preference_sentence({1: {"conv": 1.0}}, {1: {"ssd": 0.9, "conv": 0.5}}, "blocks")
    same = kind_shares(complete.front)
    assert "same shares" in preference_sentence(same, same, "blocks")


def test_a_poor_table_and_a_better_baseline_are_said_so() -> None:
    good = Validation(mape=0.04, kendall_tau=0.95, noise_mape=0.02, macs_mape=0.2, macs_tau=0.7, n=14)
    assert "On 14 networks held out of the fit the table errs by 4.0\u00a0%" in fidelity_sentence(good)
    assert "rough orientation" not in fidelity_sentence(good)
    poor = fidelity_sentence(replace(good, mape=0.3, trustworthy=False))
    assert "MACs alone do no worse: 20.0\u00a0%" in poor
    assert "rough orientation" in poor
    assert "again" not in fidelity_sentence(Validation(mape=0.04, kendall_tau=0.95))


def test_hypervolume_names_the_first_count_that_reached_95_percent() -> None:
    assert "after 40 of 60 evaluations" in hypervolume_sentence(((20, 0.9), (40, 0.96), (60, 1.0)))


def test_a_model_that_learnt_nothing_is_left_out_of_every_comparison(constructed: ReportData) -> None:
    idle = [replace(model, verdict="it has learnt nothing") for model in MODELS]
    data = replace(constructed, compare=(*(row for row in constructed.compare if row not in MODELS), *idle))
    best = headline(data)
    assert best is not None and best.baseline is None
    assert "no hand-designed model to compare with" in comparison_sentence(data)
    one = replace(data, compare=(*constructed.compare, replace(MODELS[0], name="idle", verdict="nothing")))
    assert comparison_sentence(one).endswith("Left out, as they have learnt nothing by this recipe: idle.")


def test_networks_tuned_for_another_device_do_not_answer_here(complete: ReportData) -> None:
    elsewhere = [replace(row, id=f"other-{row.id}", latency_ms=None, provenance=None) for row in complete.compare]
    best = headline(replace(complete, compare=tuple(elsewhere)))
    assert best is not None and best.within_limit and not best.finetuned
    assert best.identity in {row.id for row in complete.front}
