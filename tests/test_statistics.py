"""Each statistic against an oracle: scipy, or a count of all pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau, norm

from nas.statistics import (
    INTERVAL_90,
    INTERVAL_95,
    kendall_tau,
    knee,
    non_dominated,
    pairs_in_order,
    resampled_tau,
    squared_distances,
)

SMALL = st.integers(0, 6)
PAIRS = st.lists(st.tuples(SMALL, SMALL), max_size=12)


def columns(rows):
    return (np.array([row[i] for row in rows], dtype=float) for i in (0, 1))


@given(PAIRS)
def test_tau_is_that_of_scipy_and_nan_where_a_ranking_is_constant(rows):
    first, second = columns(rows)
    tau = kendall_tau(first, second)
    if len(rows) < 2 or len(set(first)) == 1 or len(set(second)) == 1:
        assert np.isnan(tau)
    else:
        assert tau == pytest.approx(float(kendalltau(first, second).statistic))


@given(PAIRS.filter(lambda rows: len(rows) > 2), st.integers(0, 5))
def test_tau_of_a_draw_is_that_of_the_drawn_values_to_the_bit(rows, seed):
    first, second = columns(rows)
    draws = np.random.default_rng(seed).integers(len(rows), size=(5, len(rows)))
    expected = [kendall_tau(first[draw], second[draw]) for draw in draws]
    assert np.array_equal(resampled_tau(first, second, draws), expected, equal_nan=True)


@given(PAIRS)
def test_pairs_in_order_are_counted_as_one_by_one(rows):
    predicted, measured = columns(rows)
    in_order, total = 0.0, 0
    for i, j in itertools.combinations(range(len(rows)), 2):
        if measured[i] != measured[j]:
            total += 1
            same = (predicted[i] - predicted[j]) * (measured[i] - measured[j])
            in_order += 1.0 if same > 0 else 0.5 if same == 0 else 0.0
    assert pairs_in_order(predicted, measured) == (in_order, total)


def test_squared_distances_are_those_of_scipy_and_never_negative():
    first, second = np.random.default_rng(0).normal(size=(20, 7)), np.random.default_rng(1).normal(size=(9, 7))
    assert squared_distances(first, second) == pytest.approx(cdist(first, second, "sqeuclidean"))
    assert (squared_distances(1e6 + first, 1e6 + first) >= 0).all()
    assert squared_distances(first[:0], second).shape == (0, 9)


def test_intervals_hold_their_share_of_a_normal_distribution():
    assert pytest.approx(norm.ppf(0.95), abs=0.005) == INTERVAL_90
    assert pytest.approx(norm.ppf(0.975), abs=0.005) == INTERVAL_95


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[SMALL] * n), min_size=1, max_size=25)))
def test_a_row_is_kept_exactly_when_no_row_dominates_it(rows):
    def dominates(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    expected = [not any(dominates(other, row) for other in rows) for row in rows]
    assert non_dominated(np.array(rows)).tolist() == expected


def test_nothing_has_an_empty_front():
    assert non_dominated(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("function", [non_dominated, knee])
def test_nan_and_a_single_row_without_its_axis_are_refused(function):
    with pytest.raises(ValueError, match="NaN"):
        function(np.array([[0.0, np.nan], [1.0, 1.0]]))
    with pytest.raises(ValueError, match="shape"):
        function(np.array([0.0, 1.0]))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20), st.floats(0.01, 100), st.floats(-50, 50))
def test_the_knee_is_farthest_below_the_chord_whatever_the_units(inner, scale, shift):
    costs = np.array([(0.0, 1.0), (1.0, 0.0), *inner])
    direction = np.array([1.0, -1.0]) / np.sqrt(2)
    offsets = costs - costs[0]
    below = -(offsets - np.outer(offsets @ direction, direction)) @ np.array([1.0, 1.0]) / np.sqrt(2)
    assert below[knee(costs)] == pytest.approx(below.max(), abs=1e-9)
    chosen = knee(costs * [scale, 1.0] + [shift, 0.0])
    assert below[chosen] == pytest.approx(below.max(), abs=1e-9)


def test_the_knee_of_a_single_point_is_that_point():
    assert knee(np.array([[3.0, 3.0]])) == 0
