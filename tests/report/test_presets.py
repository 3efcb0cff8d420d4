from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from nas.report.presets import against_the_front, presets_sentence, verdict
from nas.report.results import answer

from nas.report import ReportData
from nas.report.pareto_figure import pareto_front


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def made_up(name: str, accuracy: float, latency_ms: float, feasible: bool = True) -> dict:
    return {"id": name, "name": name, "accuracy": accuracy, "latency_ms": latency_ms, "feasible": feasible}


FRONT = [made_up("a", 0.90, 1.0), made_up("b", 0.95, 2.0), made_up("preset", 0.97, 3.0)]
OWN = FRONT[2]


def test_a_preset_is_beaten_only_by_what_the_search_found() -> None:
    def judge(preset: dict) -> str:
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
    shown = words(against_the_front(complete))
    best = complete.front[-1]
    assert f"{best['id']}" in shown
    assert "1.3×" in shown
    assert "on the front" in shown
    assert "no none" in shown  # over the limit, and nothing is as accurate
    assert all(row["source"] in shown for row in complete.presets)


def test_a_failed_preset_is_left_out_and_a_space_without_any_says_so(complete: ReportData) -> None:
    failed = complete.presets[0] | {"accuracy": None}
    fewer = replace(complete, presets=(failed, *complete.presets[1:]))
    assert "of 2 hand-designed" in words(against_the_front(fewer))
    assert "names no hand-designed patterns" in words(against_the_front(replace(complete, presets=())))


def test_presets_are_drawn_at_validation_accuracy_and_predicted_latency_with_their_own_marker(
    complete: ReportData,
) -> None:
    chart = pareto_front(complete)
    (trace,) = (trace for trace in chart.data if trace.name == "hand-designed pattern (validation, predicted)")
    drawn = list(zip(trace.x, trace.y, strict=True))
    assert drawn == [(row["latency_ms"], row["accuracy"]) for row in complete.presets]
    assert trace.marker.symbol == ("triangle-up", "triangle-up", "triangle-up-open")
    others = {str(each.marker.symbol) for each in chart.data if each is not trace}
    assert not others & {"triangle-up", "triangle-up-open"}
