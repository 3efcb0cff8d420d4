from __future__ import annotations

import math
import re
from dataclasses import replace
from html import unescape
from typing import Any

from nas.report import ReportData
from nas.report.pareto_figure import pareto_front
from nas.report.preset_verdicts import presets_sentence, verdict
from nas.report.sections.answer import answer
from nas.report.sections.presets import presets
from nas.search.evaluation_row import FrontMember, PresetRow
from nas.space.architecture import Architecture, Block, Stage


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def figures(name: str, accuracy: float, latency_ms: float, feasible: bool = True) -> dict[str, Any]:
    architecture = Architecture(32, (Stage(8, (Block.of(name),)),))
    latencies = {"latency_ms": latency_ms, "latency_low_ms": latency_ms, "latency_high_ms": latency_ms}
    costs = dict.fromkeys(("num_params", "macs", "size_bytes", "bitops"), 1)
    shared = {"architecture": architecture, "accuracy": accuracy, "provenance": "measured", "feasible": feasible}
    return {**shared, **latencies, **costs}


def made_up(name: str, *shown: float, feasible: bool = True) -> PresetRow:
    return PresetRow(name=name, source="made up", **figures(name, *shown, feasible=feasible))


FRONT = [FrontMember(**figures(*shown)) for shown in (("a", 0.90, 1.0), ("b", 0.95, 2.0), ("preset", 0.97, 3.0))]
OWN = made_up("preset", 0.97, 3.0)


def test_a_preset_is_beaten_only_by_what_the_search_found() -> None:
    def judge(preset: PresetRow) -> str:
        return verdict(preset, FRONT, [OWN, preset])

    assert judge(made_up("slower", 0.95, 2.5)) == "beaten"
    assert judge(made_up("equal", 0.90, 1.0)) == "beaten"
    assert judge(made_up("near", 0.96, 4.0)) == "by another"
    assert judge(made_up("best", 0.98, 9.0, feasible=False)) == "unbeaten"
    assert judge(made_up("quick", 0.90, 0.5, feasible=False)) == "unbeaten"  # over another limit than that on latency
    assert verdict(OWN, FRONT, [OWN]) == "on the front"


def test_the_answer_counts_the_presets_that_are_beaten_and_names_the_others(complete: ReportData) -> None:
    sentence = presets_sentence(complete.front, complete.presets)
    assert sentence.startswith("The search beats 1 of 3 hand-designed patterns in the same weights")
    assert "On the front themselves: mambaout." in sentence
    assert "Not beaten: vim." in sentence
    assert sentence in words(answer(complete))


def test_the_table_names_the_front_member_that_is_as_accurate_and_how_much_faster_it_is(complete: ReportData) -> None:
    shown = words(presets(complete))
    best = complete.front[-1]
    assert f"{best.id}" in shown
    assert "1.3×" in shown
    assert "on the front" in shown
    assert "no none" in shown  # over the limit, and nothing is as accurate
    assert all(row.source in shown for row in complete.presets)


def test_a_failed_preset_is_left_out_and_a_space_without_any_says_so(complete: ReportData) -> None:
    failed = replace(complete.presets[0], accuracy=math.nan)
    fewer = replace(complete, presets=(failed, *complete.presets[1:]))
    assert "of 2 hand-designed" in words(presets(fewer))
    assert "names no hand-designed patterns" in words(presets(replace(complete, presets=())))


def test_presets_are_drawn_at_validation_accuracy_and_predicted_latency_with_their_own_marker(
    complete: ReportData,
) -> None:
    chart = pareto_front(complete)
    (trace,) = (trace for trace in chart.data if trace.name == "hand-designed pattern (validation, predicted)")
    drawn = list(zip(trace.x, trace.y, strict=True))
    assert drawn == [(row.latency_ms, row.accuracy) for row in complete.presets]
    assert trace.marker.symbol == ("triangle-up", "triangle-up", "triangle-up-open")
    others = {str(other.marker.symbol) for other in chart.data if other is not trace}
    assert not others & {"triangle-up", "triangle-up-open"}
