import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.evaluation.verdict import Trained, accuracy_at, counterpart_of, front_of, latency_at, paired_p, verdict

POINTS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.1, 0.99)), min_size=1, max_size=8)


def trained(name, latency_ms, *accuracies):
    return Trained(name=name, latency_ms=latency_ms, accuracies=accuracies)


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        ((0.7, 0.950, 0.953, 0.951), (1.0, 0.941, 0.945, 0.942), "dominates X: -30% latency, +0.9 points (p="),
        ((0.7, 0.90, 0.95), (1.0, 0.94, 0.90), "is as accurate as, and faster than, X"),
        ((1.01, 0.90, 0.95), (1.0, 0.94, 0.90), "no difference beyond noise from X"),
        ((1.3, 0.90, 0.95), (1.0, 0.94, 0.90), "is as accurate as, and slower than, X"),
        ((1.0, 0.941, 0.945, 0.942), (0.7, 0.950, 0.953, 0.951), "is dominated by X"),
        ((0.7, 0.941, 0.945, 0.942), (1.0, 0.950, 0.953, 0.951), "faster, less accurate than X"),
        ((1.4, 0.950, 0.953, 0.951), (1.0, 0.941, 0.945, 0.942), "slower, more accurate than X"),
        ((0.7, 0.95), (1.0, 0.94), "dominates X: -30% latency, +1.0 points (spread unknown: 1 seed)"),
    ],
)
def test_a_verdict_says_what_is_sure_and_no_more(ours, theirs, says):
    assert verdict(trained("ours", *ours), trained("X", *theirs)).startswith(says)


def test_pairs_are_more_telling_than_means():
    """The same seed sees the same batches: what both share is no noise of their difference."""
    ours, theirs = [0.90, 0.93, 0.96, 0.91], [0.89, 0.921, 0.949, 0.90]
    assert paired_p(ours, theirs) < 0.001 and paired_p(ours, theirs[::-1]) > 0.1
    assert paired_p([0.9], [0.8]) is None
    assert paired_p([0.9, 0.9], [0.9, 0.9]) == 1.0


def test_the_counterpart_is_chosen_by_validation_among_those_not_slower():
    fast, good, slow = trained("fast", 0.5, 0.9), trained("good", 0.9, 0.91), trained("slow", 2.0, 0.99)
    assert counterpart_of(trained("X", 1.0, 0.9), [fast, good, slow], [0.92, 0.91, 0.99]).name == "fast"
    assert counterpart_of(trained("X", 0.1, 0.9), [fast, good, slow], [0.92, 0.91, 0.99]).name == "fast"


@given(POINTS)
def test_a_front_is_met_at_its_points_and_rises_between_them(points):
    front = front_of(points)
    for latency, accuracy in front:
        assert accuracy_at(latency, points) == pytest.approx(accuracy)
        assert latency_at(accuracy, points) == pytest.approx(latency)
    for latency, accuracy in points:
        assert accuracy_at(latency, points) >= accuracy - 1e-12


@given(POINTS, st.floats(0.02, 5))
def test_what_is_slower_is_never_less_accurate(points, latency):
    first, second = accuracy_at(latency, points), accuracy_at(2 * latency, points)
    assert first is None or second >= first - 1e-12


def test_nothing_is_extrapolated():
    points = [(1.0, 0.8), (4.0, 0.9), (3.0, 0.7)]
    assert accuracy_at(0.9, points) is None and accuracy_at(100.0, points) == 0.9
    assert latency_at(0.91, points) is None and latency_at(0.5, points) == 1.0
    assert accuracy_at(2.0, points) == pytest.approx(0.85)
    assert latency_at(0.85, points) == pytest.approx(math.sqrt(4.0))
