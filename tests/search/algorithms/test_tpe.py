import numpy as np
import pytest
from toy_spaces import Flat

from nas.search.algorithms.tpe import Tpe
from nas.search.loop import search
from nas.search.problem import Constraint, Objective, Problem, as_tuples

SPACE = Flat((3,) * 10)
GAIN = np.random.default_rng(0).normal(size=(10, 3))


def quality(candidates):
    return GAIN[np.arange(10), np.array(candidates)].sum(axis=1)


def sizes(candidates):
    return [float(sum(candidate)) for candidate in candidates]


OBJECTIVES = (Objective("quality", "max", quality, True), Objective("size", "min", sizes))


def test_it_has_more_hypervolume_than_random_search():
    reference = {"quality": -15.0, "size": 21.0}
    gains = []
    for seed in range(3):
        runs = [
            search(SPACE, objectives=OBJECTIVES, algorithm=name, budget=100, seed=seed, reference=reference)
            for name in ("tpe", "random")
        ]
        gains.append(runs[0].hypervolume_history[-1][1] / runs[1].hypervolume_history[-1][1])
    assert np.median(gains) > 1.0


def test_it_learns_from_genomes_it_did_not_propose():
    best = GAIN.argmax(axis=1)
    rng = np.random.default_rng(1)
    genomes = np.unique(np.where(rng.random((60, 10)) < 0.7, best, rng.integers(3, size=(60, 10))), axis=0)
    shares = []
    for told in (False, True):
        algorithm = Tpe(Problem(SPACE, OBJECTIVES[:1]), np.random.default_rng(0))
        if told:
            algorithm.tell(genomes, -quality(genomes)[:, None], np.zeros(len(genomes)))
        shares.append((algorithm.ask(20) == best).mean())
    assert shares[1] > shares[0] + 0.15


@pytest.mark.parametrize("limit", [3.0, 12.0])
def test_feasible_genomes_are_proposed_and_infeasible_samples_teach_where_the_limit_is(limit):
    problem = Problem(SPACE, OBJECTIVES, (Constraint("size", limit, sizes),))
    algorithm = Tpe(problem, np.random.default_rng(0))
    for _ in range(4):
        genomes = algorithm.ask(10)
        excess = np.maximum(0, np.array(sizes(genomes)) - limit)
        costs = np.stack([-quality(genomes), sizes(genomes)], axis=1)
        algorithm.tell(genomes, np.where(excess[:, None] > 0, np.inf, costs), excess)
    assert len(set(as_tuples(genomes))) == 10
    assert (excess == 0).all()
    assert all(trial.state.is_finished() for trial in algorithm.study.trials)


def test_a_failed_evaluation_is_told_as_failed():
    algorithm = Tpe(Problem(SPACE, OBJECTIVES), np.random.default_rng(0))
    genomes = algorithm.ask(3)
    algorithm.tell(genomes, np.full((3, 2), np.inf), np.full(3, np.inf))
    assert [trial.state.name for trial in algorithm.study.trials] == ["FAIL"] * 3
