import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.pareto import hypervolume
from nas.statistics import knee, non_dominated

SMALL = st.integers(0, 6)


def cost_lists(num_objectives):
    return st.lists(st.tuples(*[SMALL] * num_objectives), min_size=1, max_size=25)


@given(st.integers(1, 4).flatmap(cost_lists))
def test_a_row_is_kept_exactly_when_no_row_dominates_it(rows):
    def dominates(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    expected = [not any(dominates(other, row) for other in rows) for row in rows]
    assert non_dominated(np.array(rows)).tolist() == expected


@given(cost_lists(2))
def test_hypervolume_of_two_objectives_counts_the_dominated_unit_cells(rows):
    reference = (5, 4)
    cells = [(x, y) for x in range(reference[0]) for y in range(reference[1])]
    expected = sum(any(a <= x and b <= y for a, b in rows) for x, y in cells)
    assert hypervolume(np.array(rows), reference) == pytest.approx(expected)


def test_hypervolume_of_one_and_three_objectives_is_the_volume_of_the_union_of_boxes():
    assert hypervolume(np.array([[2.0], [0.5]]), [3.0]) == pytest.approx(2.5)
    assert hypervolume(np.array([[0.0, 0, 1], [1, 1, 0]]), [2.0, 2, 2]) == pytest.approx(4 + 2 - 1)


def test_nothing_has_an_empty_front_and_no_hypervolume():
    nothing = np.empty((0, 2))
    assert non_dominated(nothing).shape == (0,)
    assert hypervolume(nothing, [1.0, 1.0]) == 0.0


@pytest.mark.parametrize("function", [non_dominated, knee, lambda costs: hypervolume(costs, [1.0, 1.0])])
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
