import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Flat, Nested

from nas.search.algorithms.random_search import RandomSearch, list_unseen, sample_unseen
from nas.search.problem import Objective, Problem, as_tuples, canonical

EVERYTHING = np.array(list(itertools.product(*map(range, Nested.cardinalities))))
MEMBERS = set(as_tuples(canonical(Nested(), EVERYTHING)))
PROBLEM = Problem(Nested(), (Objective("cost", "min", lambda candidates: [0.0] * len(candidates)),))


@given(st.sets(st.sampled_from(sorted(MEMBERS))))
def test_the_list_of_unseen_genomes_is_every_canonical_genome_but_the_seen(seen):
    unseen = list_unseen(Nested(), seen, limit=1000)
    assert len(unseen) == len(set(unseen))
    assert set(unseen) == MEMBERS - seen


@given(st.sets(st.sampled_from(sorted(MEMBERS))), st.integers(0, 30), st.integers(0, 5))
def test_a_sample_is_distinct_canonical_unseen_and_short_only_when_the_space_is(seen, n, seed):
    genomes = as_tuples(sample_unseen(Nested(), np.random.default_rng(seed), seen, n))
    assert len(genomes) == len(set(genomes)) == min(n, len(MEMBERS - seen))
    assert set(genomes) <= MEMBERS - seen


def test_a_huge_space_is_sampled_without_being_listed():
    huge = Flat((10,) * 50)
    genomes = sample_unseen(huge, np.random.default_rng(0), set(), 100)
    assert len(set(as_tuples(genomes))) == 100
    assert sorted(np.unique(genomes)) == list(range(10))
    assert len(list_unseen(huge, set(), limit=10)) >= 10


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_random_search_proposes_every_member_once_and_then_nothing(batch):
    algorithm = RandomSearch(PROBLEM, np.random.default_rng(0))
    asked = []
    while len(genomes := algorithm.ask(batch)) > 0:
        asked += as_tuples(genomes)
    assert len(asked) == len(MEMBERS)
    assert set(asked) == MEMBERS


def test_what_was_told_is_not_proposed():
    algorithm = RandomSearch(PROBLEM, np.random.default_rng(0))
    told = np.array(sorted(MEMBERS)[:10])
    algorithm.tell(told, np.zeros((10, 1)), np.zeros(10))
    assert not set(as_tuples(algorithm.ask(100))) & set(as_tuples(told))
