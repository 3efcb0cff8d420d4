from collections import Counter

import numpy as np
import pytest

from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import BINS, cost_bins, draw_pool, kinds_of, spread

TINY = SearchSpace.load("scan-mix-tiny")


@pytest.fixture(scope="module")
def pool_and_costs():
    pool = draw_pool(TINY, 24, np.random.default_rng(0))
    return pool, [architecture_cost(each, TINY.num_classes).macs for each in pool]


def test_each_range_of_the_cost_gives_equally_many(pool_and_costs):
    pool, costs = pool_and_costs
    bins = dict(zip(pool, cost_bins(np.array(costs), BINS).tolist(), strict=True))
    chosen = spread(pool, costs, 24)
    assert Counter(bins[each] for each in chosen) == dict.fromkeys(range(BINS), 24 // BINS)
    drawn = Counter(bins[each] for each in pool[:24])
    assert max(drawn.values()) > 2 * min(drawn.get(k, 0) for k in range(BINS))  # drawn at random they do not


def test_every_kind_is_chosen_about_equally_often_in_its_stage(pool_and_costs):
    chosen = spread(*pool_and_costs, 24)
    used = Counter(kind for each in chosen for kind in kinds_of(each))
    for s, stage in enumerate(TINY.stages):
        counts = [used[s, kind] for kind in stage.kinds]
        assert max(counts) - min(counts) <= 3, counts


def test_none_is_chosen_twice_and_a_small_space_gives_all_it_has():
    toy = SearchSpace.load("toy")
    everything = list(toy.everything())
    costs = [architecture_cost(each, toy.num_classes).macs for each in everything]
    chosen = spread(everything, costs, 1000)
    assert len(chosen) == len(set(chosen)) == toy.size
    assert len(set(draw_pool(toy, 3, np.random.default_rng(0)))) <= toy.size


def test_equal_costs_fall_into_one_range():
    assert set(cost_bins(np.full(5, 3.0), BINS).tolist()) == {BINS - 1}
    assert cost_bins(np.array([1.0, 8.0, 2.0]), 3).tolist() == [0, 2, 1]


def test_a_space_with_bits_gives_its_float_networks(toy_bits):
    assert all(block.bits == "fp" for each in draw_pool(toy_bits, 4, np.random.default_rng(0))
               for stage in each.stages for block in stage.blocks)  # fmt: skip
