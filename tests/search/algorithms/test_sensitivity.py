import numpy as np
import pytest
from toy_spaces import Flat

from nas.search.algorithms.sensitivity import Sensitivity, bisection_order
from nas.search.loop import search
from nas.search.problem import Constraint, Objective, Problem, as_tuples

# Accuracy and size are sums over 8 genes, so that single drops say everything.
SPACE = Flat((3,) * 8)
DROP = np.random.default_rng(0).uniform(0.01, 1.0, size=8)


def accuracy(candidates):
    return 10 + (DROP * np.array(candidates)).sum(axis=1)


def sizes(candidates):
    return [float(sum(candidate)) for candidate in candidates]


OBJECTIVES = (Objective("accuracy", "max", accuracy, True), Objective("size", "min", sizes))


def told(*constraints):
    algorithm = Sensitivity(Problem(SPACE, OBJECTIVES, constraints), np.random.default_rng(0))
    largest = np.array([[2] * 8])
    algorithm.tell(largest, np.array([[-accuracy(largest)[0], 16.0]]), np.zeros(1))
    return algorithm


def evaluate(algorithm, genomes):
    algorithm.tell(genomes, np.stack([-accuracy(genomes), sizes(genomes)], axis=1), np.zeros(len(genomes)))


def test_first_come_the_single_changes_of_the_best():
    asked = told().ask(16)
    assert ((asked != 2).sum(axis=1) == 1).all()
    assert len(set(as_tuples(asked))) == 16


def test_then_the_thresholds_whose_genomes_shrink_what_matters_least():
    algorithm = told()
    evaluate(algorithm, algorithm.ask(16))
    asked = algorithm.ask(6)
    assert ((asked != 2).sum(axis=1) > 1).all()
    for genome in asked:
        shrunk = genome < 2
        lost = (2 - genome) * DROP
        assert lost[shrunk].max() <= min(DROP[~shrunk], default=np.inf) + 1e-12


def test_sums_over_genes_are_solved_with_few_evaluations():
    result = search(
        SPACE,
        objectives=OBJECTIVES,
        algorithm="sensitivity",
        budget=60,
        initial=[[2] * 8],
        reference={"accuracy": 9.0, "size": 17.0},
    )
    drawn = search(
        SPACE,
        objectives=OBJECTIVES,
        algorithm="random",
        budget=60,
        initial=[[2] * 8],
        reference={"accuracy": 9.0, "size": 17.0},
    )
    assert result.hypervolume_history[-1][1] > 1.03 * drawn.hypervolume_history[-1][1]


def test_nothing_infeasible_is_proposed_while_there_is_something_feasible():
    problem = Problem(SPACE, OBJECTIVES, (Constraint("size", 6.0, sizes),))
    algorithm = Sensitivity(problem, np.random.default_rng(0))
    for _ in range(5):
        genomes = algorithm.ask(20)
        assert max(sizes(genomes)) <= 6
        evaluate(algorithm, genomes)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 17])
def test_a_bisection_visits_the_ends_the_middle_and_everything_once(n):
    order = bisection_order(n)
    assert sorted(order) == list(range(n))
    assert n < 5 or order[:3] == [0, n - 1, (n - 1) // 2]
