import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.pareto import hypervolume

SMALL = st.integers(0, 6)


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=25))
def test_hypervolume_of_two_objectives_counts_the_dominated_unit_cells(rows):
    reference = (5, 4)
    cells = [(x, y) for x in range(reference[0]) for y in range(reference[1])]
    expected = sum(any(a <= x and b <= y for a, b in rows) for x, y in cells)
    assert hypervolume(np.array(rows), reference) == pytest.approx(expected)


def test_hypervolume_of_one_and_three_objectives_is_the_volume_of_the_union_of_boxes():
    assert hypervolume(np.array([[2.0], [0.5]]), [3.0]) == pytest.approx(2.5)
    assert hypervolume(np.array([[0.0, 0, 1], [1, 1, 0]]), [2.0, 2, 2]) == pytest.approx(4 + 2 - 1)


def test_nothing_has_no_hypervolume():
    assert hypervolume(np.empty((0, 2)), [1.0, 1.0]) == 0.0


def test_nan_and_a_single_row_without_its_axis_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        hypervolume(np.array([[0.0, np.nan], [1.0, 1.0]]), [1.0, 1.0])
    with pytest.raises(ValueError, match="shape"):
        hypervolume(np.array([0.0, 1.0]), [1.0, 1.0])
