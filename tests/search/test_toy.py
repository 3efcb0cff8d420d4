"""Every algorithm on the shipped space that is small enough to try everything."""

import numpy as np
import pytest

from nas.search.algorithms import ALGORITHMS
from nas.search.loop import search
from nas.search.problem import Constraint, Objective, as_tuples
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.statistics import non_dominated

SPACE = SearchSpace.load("toy")
EVERYTHING = np.array([SPACE.encode(architecture) for architecture in SPACE.everything()])
PAIRS = np.random.default_rng(0).normal(size=(EVERYTHING.shape[1],) * 2)


def macs(candidates):
    return [architecture_cost(candidate, SPACE.num_classes).macs / 1e6 for candidate in candidates]


def params(candidates):
    return [architecture_cost(candidate, SPACE.num_classes).num_params / 1e3 for candidate in candidates]


def accuracies(candidates):
    genomes = np.array([SPACE.encode(candidate) for candidate in candidates])
    return (0.9 + 0.05 * np.log(macs(candidates)) + 0.01 * ((genomes @ PAIRS) * genomes).sum(axis=1)).tolist()


ACCURACY = Objective("accuracy", "max", accuracies, expensive=True)
MACS, PARAMS = Objective("macs", "min", macs), Objective("num_params", "min", params)


def brute_force(objectives, limit):
    candidates = [SPACE.decode(genome) for genome in EVERYTHING]
    costs = np.array(
        [[objective.sign * value for value in objective.evaluate(candidates)] for objective in objectives]
    ).T
    feasible = np.array(params(candidates)) <= limit
    return set(as_tuples(EVERYTHING[feasible][non_dominated(costs[feasible])]))


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("objectives", [(ACCURACY, MACS), (ACCURACY, MACS, PARAMS)], ids=["two", "three"])
@pytest.mark.parametrize("share", [1.0, 0.5], ids=["free", "limited"])
def test_the_exact_front_is_found_within_the_number_of_architectures(algorithm, objectives, share):
    limit = float(np.quantile(params([SPACE.decode(genome) for genome in EVERYTHING]), share))
    evaluated = []

    def watched(candidates):
        evaluated.extend(candidates)
        return accuracies(candidates)

    watching = (Objective("accuracy", "max", watched, expensive=True), *objectives[1:])
    constraints = [Constraint("num_params", limit, params)]
    result = search(
        SPACE, objectives=watching, constraints=constraints, algorithm=algorithm, budget=SPACE.size, batch=8
    )
    assert {evaluation.genome for evaluation in result.front} == brute_force(objectives, limit)
    assert len(evaluated) == len(set(evaluated)) == len(result.evaluations)
    assert max(params(evaluated)) <= limit
    assert result.num_asked == SPACE.size == 48
