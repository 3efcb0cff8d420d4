import numpy as np
import pytest
from toy_spaces import Named

from nas.search.baselines import baseline_hypervolumes
from nas.search.loop import search
from nas.search.problem import Constraint, Objective, Problem

SPACE = Named((3,) * 12)
PAIR = np.random.default_rng(0).normal(size=(12, 3, 3))


def accuracy(candidates):
    genomes = np.array([candidate["genes"] for candidate in candidates])
    return PAIR[np.arange(12), genomes, np.roll(genomes, 1, axis=1)].sum(axis=1) + 0.5 * genomes.sum(axis=1)


def sizes(candidates):
    return [float(sum(candidate["genes"])) for candidate in candidates]


OBJECTIVES = (Objective("accuracy", "max", accuracy, True), Objective("size", "min", sizes))
LIMITS = (Constraint("size", 20.0, sizes),)


@pytest.mark.parametrize("constraints", [(), LIMITS])
def test_the_replay_says_about_what_the_plain_searches_really_find(constraints):
    result = search(SPACE, objectives=OBJECTIVES, constraints=constraints, budget=100)
    replayed = baseline_hypervolumes(Problem(SPACE, OBJECTIVES, constraints), result)
    assert replayed.keys() == {"random", "local"}
    for name, history in replayed.items():
        real = search(
            SPACE,
            objectives=OBJECTIVES,
            constraints=constraints,
            algorithm=name,
            budget=100,
            reference=result.reference_point,
        )
        assert history[-1][0] == real.hypervolume_history[-1][0] == 100
        assert history[-1][1] == pytest.approx(real.hypervolume_history[-1][1], rel=0.25)
    assert replayed["random"][-1][1] < result.hypervolume_history[-1][1]


def test_a_replay_evaluates_nothing_expensive_and_repeats_itself():
    result = search(SPACE, objectives=OBJECTIVES, budget=40)
    calls = []
    watched = (Objective("accuracy", "max", lambda cs: calls.append(cs) or accuracy(cs), True), OBJECTIVES[1])
    problem = Problem(SPACE, watched)
    assert baseline_hypervolumes(problem, result) == baseline_hypervolumes(problem, result)
    assert not calls
