import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Flat

from nas.search.algorithms.random_search import list_unseen
from nas.search.loop import search
from nas.search.pricing import Prices
from nas.search.problem import Constraint, Objective, Problem

GRID = Flat((4, 3, 2))


def totals(candidates):
    return [float(sum(candidate)) for candidate in candidates]


def totals_at_once(genomes):
    return genomes.sum(axis=1).astype(float)


def firsts(candidates):
    return [float(candidate[0]) if candidate != (3, 2, 1) else float("nan") for candidate in candidates]


def problem(at_once):
    figure = {"evaluate_genomes": totals_at_once} if at_once else {}
    return Problem(
        GRID,
        (
            Objective("accuracy", "max", totals, True),
            Objective("size", "max", totals, **figure),
            Objective("first", "min", firsts),
        ),
        (Constraint("size", 4.0, totals, **figure), Constraint("first", 2.0, firsts)),
    )


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)), max_size=20)


@given(ROWS, ROWS)
def test_prices_of_whole_arrays_equal_those_of_decoded_candidates_asked_in_any_order(first, second):
    at_once, decoded = Prices(problem(True)), Prices(problem(False))
    for rows in (first, second, first + second):
        genomes = np.array(rows, dtype=int).reshape(-1, 3)
        for one, other in zip(at_once(genomes), decoded(genomes), strict=True):
            assert np.array_equal(one, other, equal_nan=True)


def test_costs_are_signed_unknown_where_expensive_and_violations_count_every_limit():
    costs, excess = Prices(problem(True))(np.array([[1, 2, 0], [3, 2, 0], [3, 2, 1]]))
    assert np.isnan(costs[:, 0]).all()
    assert costs[:2, 1:].tolist() == [[-3.0, 1.0], [-5.0, 3.0]]
    assert excess[:2].tolist() == [0.0, pytest.approx(0.25 + 0.5)]
    assert excess[2] == np.inf


def test_no_candidate_is_decoded_twice_and_none_where_all_can_be_priced_at_once():
    asked = []

    def watched(candidates):
        asked.extend(candidates)
        return totals(candidates)

    genomes = np.array(list_unseen(GRID, set(), 100))
    prices = Prices(Problem(GRID, (Objective("size", "min", watched),)))
    prices(np.concatenate([genomes, genomes]))
    prices(genomes[:5])
    assert len(asked) == len(set(asked)) == 24
    Prices(Problem(GRID, (Objective("size", "min", watched, evaluate_genomes=totals_at_once),)))(genomes)
    assert len(asked) == 24


def test_one_of_two_that_share_a_name_suffices_to_price_at_once():
    objective = Objective("size", "min", totals)
    limit = Constraint("size", 3.0, totals, evaluate_genomes=totals_at_once)
    assert not Prices(Problem(GRID, (objective,), (limit,))).decoded


@pytest.mark.parametrize("algorithm", ["surrogate", "local", "sensitivity"])
def test_a_search_that_prices_at_once_equals_one_that_decodes(algorithm):
    def quality(candidates):
        return [candidate[0] - 0.3 * candidate[1] * candidate[2] for candidate in candidates]

    results = []
    for figure in ({}, {"evaluate_genomes": totals_at_once}):
        objectives = [Objective("quality", "max", quality, True), Objective("size", "min", totals, **figure)]
        limits = [Constraint("size", 4.0, totals, **figure)]
        results.append(search(GRID, objectives=objectives, constraints=limits, algorithm=algorithm, budget=15, batch=4))
    assert results[0] == results[1]
