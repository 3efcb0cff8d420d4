import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Chain

from nas.search.algorithms.random_search import list_unseen
from nas.search.evolution import crowding, evolve, pareto_ranks, survivors
from nas.search.problem import as_tuples, canonical
from nas.statistics import non_dominated

SPACE = Chain((7, *(3,) * 6))  # 1093 members
GAIN = np.random.default_rng(0).normal(size=(7, 3))


def assess(genomes):
    active = SPACE.active(genomes)[:, 1:]
    quality = np.where(active, 1 + GAIN[np.arange(1, 7), genomes[:, 1:]], 0.0).sum(axis=1)
    size = np.where(active, 1 + genomes[:, 1:], 0).sum(axis=1)
    return np.stack([-quality, size], axis=1).astype(float), np.maximum(0.0, size - 9.0)


def run(seen=frozenset(), seed=0, **changes):
    options = {"size": 60, "num_children": 60, "generations": 30, **changes}
    rng = np.random.default_rng(seed)
    start = rng.integers(SPACE.cardinalities, size=(20, 7))
    return evolve(SPACE, rng, assess, start[:0], start, seen, **options)


def test_it_finds_the_front_of_what_is_feasible():
    everything = np.array(list_unseen(SPACE, set(), 10_000))
    costs, excess = assess(everything)
    feasible = everything[excess == 0]
    front = set(as_tuples(feasible[non_dominated(costs[excess == 0])]))
    genomes, _, excess = run()
    assert len(everything) == 1093
    assert (excess == 0).all()
    assert len(front & set(as_tuples(genomes))) >= 0.8 * len(front)


def test_genomes_are_canonical_distinct_and_unseen_and_their_costs_are_theirs():
    seen = set(list_unseen(SPACE, set(), 300))
    genomes, costs, excess = run(seen)
    assert np.array_equal(genomes, canonical(SPACE, genomes))
    assert len(set(as_tuples(genomes))) == len(genomes) == 60
    assert not set(as_tuples(genomes)) & seen
    expected = assess(genomes)
    assert np.array_equal(costs, expected[0])
    assert np.array_equal(excess, expected[1])


def test_no_genome_is_assessed_twice_and_no_seen_one():
    asked = []

    def watched(genomes):
        asked.extend(as_tuples(genomes))
        return assess(genomes)

    seen = set(list_unseen(SPACE, set(), 100))
    rng = np.random.default_rng(0)
    start = rng.integers(SPACE.cardinalities, size=(20, 7))
    evolve(SPACE, rng, watched, start, start, seen, size=50, num_children=50, generations=20)
    assert len(asked) == len(set(asked))
    assert not set(asked) & seen


def test_a_space_with_few_genomes_left_gives_these_and_ends():
    everything = list_unseen(SPACE, set(), 10_000)
    left = {everything[5], everything[6]}
    genomes, _, _ = run(set(everything) - left, generations=10_000)
    assert set(as_tuples(genomes)) <= left


COSTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=25).map(
    lambda rows: np.array(rows, dtype=float)
)


@given(COSTS)
def test_ranks_peel_one_front_after_the_other(costs):
    ranks, left, rank = pareto_ranks(costs), np.arange(len(costs)), 0
    while len(left):
        front = non_dominated(costs[left])
        assert (ranks[left[front]] == rank).all()
        left, rank = left[~front], rank + 1


@given(COSTS, st.integers(1, 25))
def test_survivors_are_the_better_ranks(costs, size):
    kept = survivors(costs, np.zeros(len(costs)), size)
    dropped = np.setdiff1d(np.arange(len(costs)), kept)
    assert len(set(kept.tolist())) == len(kept) == min(size, len(costs))
    ranks = pareto_ranks(costs)
    assert not len(dropped) or ranks[kept].max() <= ranks[dropped].min()


@given(COSTS, st.integers(1, 25), st.integers(0, 25))
def test_the_infeasible_survive_after_all_feasible_and_by_their_violation(costs, size, num_infeasible):
    excess = np.where(np.arange(len(costs)) < num_infeasible, 1.0 + np.arange(len(costs)), 0.0)
    kept = survivors(costs, excess, size)
    num_feasible = int((excess == 0).sum())
    assert (excess[kept] == 0).sum() == min(num_feasible, len(kept))
    assert sorted(excess[kept][excess[kept] > 0]) == sorted(excess[excess > 0])[: max(0, len(kept) - num_feasible)]


def test_crowding_keeps_the_ends_of_a_front_and_counts_the_gaps():
    costs = np.array([[0.0, 10.0], [1.0, 6.0], [2.0, 5.0], [10.0, 0.0], [20.0, 20.0]])
    ranks = np.array([0, 0, 0, 0, 1])
    distances = crowding(costs, ranks)
    assert np.isinf(distances[[0, 3, 4]]).all()
    assert distances[1] == (2.0 - 0.0) / 20 + (10.0 - 5.0) / 20
    assert distances[2] == (10.0 - 1.0) / 20 + (6.0 - 0.0) / 20
