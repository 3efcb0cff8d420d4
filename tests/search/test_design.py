import numpy as np
import pytest
from toy_spaces import Chain

from nas.search.algorithms.random_search import list_unseen
from nas.search.design import descend, draw_feasible, farthest_first, find_ends, first_design
from nas.search.pricing import Prices
from nas.search.problem import Constraint, Objective, Problem, as_tuples, canonical

SPACE = Chain((7, *(4,) * 6))  # 5461 members


def sizes(candidates):
    return [float(sum(1 + gene for gene in candidate[1 : candidate[0] + 1])) for candidate in candidates]


def depths(candidates):
    return [float(candidate[0]) for candidate in candidates]


SIZE, QUALITY = Objective("size", "min", sizes), Objective("quality", "max", depths, expensive=True)


def prices_of(*constraints, objectives=(QUALITY, SIZE)):
    return Prices(Problem(SPACE, objectives, constraints))


def test_the_ends_are_the_smallest_and_the_largest():
    ends = find_ends(prices_of(), np.random.default_rng(0))
    assert as_tuples(ends) == [(0,) * 7, (6, *(3,) * 6)]


def test_under_a_limit_the_largest_end_is_the_largest_that_holds_it():
    ends = find_ends(prices_of(Constraint("size", 17.0, sizes)), np.random.default_rng(0))
    assert sizes(as_tuples(ends)) == [0.0, 17.0]


def test_descent_leaves_the_infeasible_first():
    high = np.array([6, *[3] * 6])
    end = descend(prices_of(Constraint("size", 17.0, sizes)), high, 1, -1.0)
    assert sizes([SPACE.decode(end)]) == [17.0]


@pytest.mark.parametrize("limit", [None, 15.0])
def test_a_design_is_feasible_unseen_and_spread_over_the_range(limit):
    constraints = () if limit is None else (Constraint("size", limit, sizes),)
    seen = {(0,) * 7}
    design = first_design(prices_of(*constraints), np.random.default_rng(0), seen, 12)
    assert len(set(as_tuples(design))) == 12
    assert not set(as_tuples(design)) & seen
    assert np.array_equal(design, canonical(SPACE, design))
    spread = np.sort(sizes(as_tuples(design)))
    top = 24.0 if limit is None else limit
    assert spread[-1] == top
    assert spread[0] <= 0.15 * top
    assert np.diff(spread).max() < 0.35 * top


def test_without_a_cheap_objective_a_design_spreads_over_the_genes():
    prices = prices_of(objectives=(QUALITY,))
    design = first_design(prices, np.random.default_rng(0), set(), 10)
    drawn = np.random.default_rng(0).integers(SPACE.cardinalities, size=(10, 7))
    assert len(set(as_tuples(design))) == 10
    assert len(np.unique(design[:, 0])) >= 0.7 * len(np.unique(drawn[:, 0]))


def test_where_nothing_is_feasible_a_design_comes_as_near_as_it_can():
    prices = prices_of(Constraint("size", -1.0, sizes))
    design = first_design(prices, np.random.default_rng(0), set(), 5)
    assert as_tuples(design)[0] == (0,) * 7
    assert len(design) == 5


def test_farthest_first_covers_a_line_from_its_given_points():
    place = np.linspace(0, 1, 101)[:, None]
    chosen = farthest_first(place[[0, 100, *range(1, 100)]], 5, 2)
    assert sorted(place[[0, 100, *range(1, 100)]][chosen, 0]) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert farthest_first(place[:3], 5, 0).tolist() == [0, 2, 1]


def test_random_feasible_genomes_come_before_infeasible_ones_and_all_in_the_end():
    prices = prices_of(Constraint("size", 2.0, sizes))
    everything = list_unseen(SPACE, set(), 10_000)
    feasible = {genome for genome in everything if sizes([genome])[0] <= 2}
    few = set(everything[:50]) | feasible
    drawn = draw_feasible(prices, np.random.default_rng(0), set(everything) - few, len(feasible))
    assert set(as_tuples(drawn)) <= few
    again = draw_feasible(prices, np.random.default_rng(0), set(everything) - few, 1000)
    assert set(as_tuples(again)) == few
    assert set(as_tuples(again)[: len(feasible)]) == feasible
    assert len(draw_feasible(prices, np.random.default_rng(0), set(), 0)) == 0
