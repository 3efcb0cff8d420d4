from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nas.report import ReportData
from nas.report.figures import colour, latency_axis
from nas.report.html import MAX_TABLE_ROWS, thinned
from nas.report.pareto_figure import MAX_CLOUD, label_position, num_left_out, off_the_scale, pareto_front
from nas.report.sections.choices import choice_shares
from nas.report.sections.fidelity import predicted_against_measured
from nas.report.sections.search_progress import hypervolume
from nas.report.sections.training import training_curves
from nas.report.shares import bits_shares, depth_shares, direction_shares, kind_shares


def number_of_points(chart) -> dict[str, int]:
    return {trace.name: len(trace.x) for trace in chart.data}


def test_the_front_figure_draws_every_evaluation_and_every_trained_network_once(complete: ReportData) -> None:
    counts = number_of_points(pareto_front(complete))
    infeasible = sum(not row.feasible for row in complete.evaluations)
    assert counts["infeasible"] == infeasible > 0
    assert counts["evaluated (validation, predicted)"] == len(complete.evaluations) - infeasible - len(complete.front)
    assert counts["front (validation, predicted)"] == len(complete.front)
    assert counts["fine-tuned (test, measured)"] == 2
    assert counts["hand-designed (test, measured)"] == 3


def test_the_limit_line_stands_at_the_limit_and_spans_the_figure(complete: ReportData) -> None:
    chart = pareto_front(complete)
    line = chart.data[-1]
    assert set(line.x) == {complete.max_latency_ms}
    assert line.y == chart.layout.yaxis.range
    unlimited = pareto_front(replace(complete, max_latency_ms=None))
    assert not any(trace.name.startswith("limit") for trace in unlimited.data)


def test_the_front_is_drawn_as_steps_of_inherited_accuracy_at_predicted_latency(complete: ReportData) -> None:
    trace = next(trace for trace in pareto_front(complete).data if trace.name.startswith("front"))
    assert trace.line.shape == "hv"
    assert list(zip(trace.x, trace.y, strict=True)) == [(row.latency_ms, row.accuracy) for row in complete.front]


def test_every_named_point_lies_inside_the_axes(complete: ReportData) -> None:
    chart = pareto_front(complete)
    assert chart.layout.xaxis.type == "log"
    left, right = (10**end for end in chart.layout.xaxis.range)
    low, high = chart.layout.yaxis.range
    for trace in chart.data:
        if not trace.name.startswith(("evaluated", "infeasible", "link")):
            assert all(left < x < right for x in trace.x), trace.name
            assert all(low <= y <= high for y in trace.y), trace.name


def test_a_hand_designed_model_far_below_does_not_flatten_the_front(complete: ReportData) -> None:
    far = replace(complete.compare[-1], name="far", accuracy=0.01)
    usual, with_far = pareto_front(complete), pareto_front(replace(complete, compare=(*complete.compare, far)))
    assert with_far.layout.yaxis.range == usual.layout.yaxis.range
    trace = next(trace for trace in with_far.data if trace.name.startswith("hand-designed (test"))
    assert trace.y[-1] == with_far.layout.yaxis.range[0] and trace.marker.symbol[-1] == "triangle-down"
    assert trace.text[-1] == "" and trace.customdata[-1][1] == 0.01


def test_what_lies_below_the_axis_is_named_in_the_caption(complete: ReportData) -> None:
    far = [replace(complete.compare[-1], name=name, accuracy=0.01) for name in ("far", "farther")]
    data = replace(complete, compare=(*complete.compare, *far))
    low = pareto_front(data).layout.yaxis.range[0]
    assert off_the_scale(data, low).endswith("lower edge: far (1.0\u00a0%), farther (1.0\u00a0%).")
    assert off_the_scale(complete, 0.0) == ""


def test_the_front_has_its_intervals_and_points_are_named_by_the_id_that_draws_them(complete: ReportData) -> None:
    chart = pareto_front(complete)
    trace = next(trace for trace in chart.data if trace.name.startswith("front"))
    assert trace.ids == tuple(row.id for row in complete.front)
    for row, left, right in zip(complete.front, trace.error_x.arrayminus, trace.error_x.array, strict=True):
        assert row.latency_ms - left == pytest.approx(row.latency_low_ms)
        assert row.latency_ms + right == pytest.approx(row.latency_high_ms)
    whole = next(trace for trace in chart.data if trace.name == "front (validation, measured)")
    measured = {row.id: row.latency_ms for row in complete.compare}
    assert dict(zip(whole.ids, whole.x, strict=True)) == {identity: measured[identity] for identity in whole.ids}
    assert set(whole.ids) == set(measured) & {row.id for row in complete.front}


def test_a_large_cloud_is_thinned_and_a_failed_evaluation_is_not_drawn(complete: ReportData) -> None:
    many = complete.evaluations * 12
    assert sum(number_of_points(pareto_front(replace(complete, evaluations=many, front=()))).values()) < MAX_CLOUD + 20
    assert num_left_out(replace(complete, evaluations=many)) > 0 == num_left_out(complete)
    failed = replace(complete.evaluations[0], accuracy=math.nan)
    with_failure = replace(complete, evaluations=(*complete.evaluations, failed))
    assert number_of_points(pareto_front(with_failure)) == number_of_points(pareto_front(complete))


def test_a_latency_that_was_not_measured_is_not_called_measured(complete: ReportData) -> None:
    network = replace(complete.compare[0], latency_ms=None)
    trace = next(
        trace for trace in pareto_front(replace(complete, compare=(network,))).data if trace.name.startswith("fine")
    )
    assert trace.name == "fine-tuned (test, measured or predicted)"
    assert trace.customdata[0][2] == "predicted"
    assert trace.x == (complete.front[-1].latency_ms,)


def test_names_stand_on_the_side_where_there_is_room() -> None:
    assert label_position(1.0, [1.0, 10.0]) == "middle right"
    assert label_position(10.0, [1.0, 10.0]) == "middle left"


@pytest.mark.parametrize(("values", "kind"), [((1.0, 2.0), None), ((0.5, 5.0), "log"), ((3.0, 3.0), None)])
def test_an_axis_is_logarithmic_only_for_a_wide_range(values: tuple[float, float], kind: str | None) -> None:
    axis = latency_axis(values, "latency")
    assert axis.get("type") == kind
    low, high = (10**end for end in axis["range"]) if kind else axis["range"]
    assert low < min(values) <= max(values) < high


def test_fidelity_tells_fitted_from_held_out_networks(complete: ReportData) -> None:
    chart = predicted_against_measured(complete.table.validation)
    assert number_of_points(chart) == {"predicted = measured": 2, "used to fit the correction": 10, "held out": 14}
    assert chart.data[0].x == chart.data[0].y
    assert chart.data[1].marker.symbol != chart.data[2].marker.symbol


def test_training_curves_leave_out_epochs_without_a_value(complete: ReportData) -> None:
    sparse = tuple(row if row.epoch % 2 else replace(row, accuracy_random=None) for row in complete.training)
    counts = number_of_points(training_curves(sparse))
    assert counts == {"largest subnet": 24, "random subnets": 12, "smallest subnet": 24, "training loss": 24}


def test_the_history_of_the_search_has_one_point_per_record(complete: ReportData) -> None:
    alone = replace(complete, quality=None)
    assert number_of_points(hypervolume(alone)) == {"this search": len(complete.hypervolume)}
    beside = number_of_points(hypervolume(complete))
    assert beside.pop("this search") == len(complete.hypervolume)
    assert beside == {"local search, on the predictor": 2, "random search, on the predictor": 2}


@pytest.mark.parametrize("count", [kind_shares, direction_shares, bits_shares, depth_shares])
def test_the_bars_of_every_stage_fill_up_to_one(complete: ReportData, count) -> None:
    chart = choice_shares(count(complete.front), count(complete.evaluations))
    totals: dict[str, float] = {}
    for trace in chart.data:
        for bar, share in zip(trace.y, trace.x, strict=True):
            totals[bar] = totals.get(bar, 0.0) + share
    assert set(totals) == {f"stage {stage}, {group}" for stage in (1, 2, 3) for group in ("front", "all")}
    assert all(total == pytest.approx(1) for total in totals.values())
    assert len({trace.marker.pattern.shape for trace in chart.data}) == len(chart.data)


def test_block_kinds_keep_their_colour_whatever_else_is_shown() -> None:
    assert colour("ssd", ["ssd"]) == colour("ssd", ["basic", "ssd"])
    assert colour("new", ["new"]) != colour("newer", ["new", "newer"])


@pytest.mark.parametrize("length", [0, 1, 40, 41, 5000])
def test_a_thinned_table_keeps_its_last_row(length: int) -> None:
    rows = thinned(range(length))
    assert len(rows) <= MAX_TABLE_ROWS
    assert rows[-1:] == list(range(length))[-1:]
