import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.statistics import pairs_in_order

VALUES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


@given(VALUES)
def test_pairs_are_counted_as_one_by_one(rows):
    predicted, measured = (np.array([row[i] for row in rows], dtype=float) for i in (0, 1))
    right, total = 0.0, 0
    for i in range(len(rows)):
        for j in range(i):
            if measured[i] != measured[j]:
                total += 1
                same = (predicted[i] - predicted[j]) * (measured[i] - measured[j])
                right += 1.0 if same > 0 else 0.5 if same == 0 else 0.0
    assert pairs_in_order(predicted, measured) == (right, total)
