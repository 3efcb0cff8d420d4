import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Pair

from nas.errors import NasError
from nas.search.problem import Constraint, Evaluation, Objective, Problem, canonical, costs_of, price, violations


def totals(candidates):
    return [float(sum(candidate)) for candidate in candidates]


def firsts(candidates):
    return [float(candidate[0]) for candidate in candidates]


@pytest.mark.parametrize(
    ("written", "meant"), [("max", "max"), ("maximize", "max"), ("min", "min"), ("minimize", "min")]
)
def test_a_direction_is_normalised(written, meant):
    assert Objective("accuracy", written, totals).direction == meant


def test_an_unknown_direction_names_the_close_match():
    with pytest.raises(NasError, match="Did you mean 'maximize'"):
        Objective("accuracy", "maximise", totals)


@pytest.mark.parametrize("limit", [math.nan, math.inf])
def test_a_limit_is_a_finite_number(limit):
    with pytest.raises(NasError, match="latency_ms"):
        Constraint("latency_ms", limit, totals)


@pytest.mark.parametrize(
    ("objectives", "constraints", "message"),
    [
        ([], [], "at least one objective"),
        ([Objective("a", "min", totals), Objective("a", "max", totals)], [], "same name"),
        ([Objective("a", "min", totals, expensive=True)], [Constraint("a", 1.0, totals)], "expensive"),
        ([Objective("a", "min", totals)], [Constraint("a", 1.0, firsts)], "two different functions"),
    ],
)
def test_a_problem_names_every_figure_once(objectives, constraints, message):
    with pytest.raises(NasError, match=message):
        Problem(Pair(), tuple(objectives), tuple(constraints))


def test_a_figure_that_is_objective_and_constraint_is_evaluated_once_and_expensive_ones_not_at_all():
    calls = []

    def counted(candidates):
        calls.append(candidates)
        return totals(candidates)

    objectives = (Objective("cost", "min", counted), Objective("accuracy", "max", firsts, expensive=True))
    prices = price(Problem(Pair(), objectives, (Constraint("cost", 3.0, counted),)), [(1, 2), (0, 0)])
    assert {name: values.tolist() for name, values in prices.items()} == {"cost": [3.0, 0.0]}
    assert len(calls) == 1


def test_a_function_that_returns_too_few_values_is_named():
    with pytest.raises(NasError, match="'cost' gave values of shape"):
        price(Problem(Pair(), (Objective("cost", "min", lambda candidates: [1.0]),)), [(1, 2), (0, 0)])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_canonical_form_clears_inactive_genes_only_and_is_stable(rows):
    genomes = np.array(rows)
    cleared = canonical(Pair(), genomes)
    assert cleared.tolist() == [[first, second if first else 0] for first, second in rows]
    assert np.array_equal(canonical(Pair(), cleared), cleared)


LIMITS = st.integers(-10_000, 10_000).map(lambda number: number / 1000)


@given(st.lists(st.tuples(LIMITS, LIMITS), min_size=1, max_size=8), LIMITS, LIMITS)
def test_violation_is_zero_exactly_where_all_constraints_hold(rows, first, second):
    constraints = [Constraint("a", first, totals), Constraint("b", second, totals)]
    values = np.array(rows)
    excess = violations(constraints, {"a": values[:, 0], "b": values[:, 1]}, len(rows))
    assert (excess == 0).tolist() == [a <= first and b <= second for a, b in rows]
    assert (excess >= 0).all()


def test_violation_grows_with_the_excess_as_a_share_of_the_limit_and_nan_is_worst():
    excess = violations([Constraint("a", 2.0, totals)], {"a": np.array([2.0, 3.0, 6.0, np.nan])}, 4)
    assert excess.tolist() == [0.0, 0.5, 2.0, math.inf]


def test_the_smallest_excess_counts():
    values = np.array([1e9, np.nextafter(1e9, 2e9)])
    assert (violations([Constraint("a", 1e9, totals)], {"a": values}, 2) > 0).tolist() == [False, True]


def test_costs_turn_what_is_maximised_around():
    objectives = [Objective("accuracy", "max", totals), Objective("latency_ms", "min", totals)]
    evaluation = Evaluation((0, 0), None, {"accuracy": 0.9, "latency_ms": 2.0}, 0.0)
    assert costs_of(objectives, [evaluation]).tolist() == [[-0.9, 2.0]]
    assert costs_of(objectives, []).shape == (0, 2)
