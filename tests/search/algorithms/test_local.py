import numpy as np
from toy_spaces import Flat

from nas.search.algorithms.local import LocalSearch
from nas.search.problem import Constraint, Objective, Problem, as_tuples

SPACE = Flat((4,) * 12)


def sizes(candidates):
    return [float(sum(candidate)) for candidate in candidates]


def test_proposals_are_neighbours_of_the_front():
    objectives = (Objective("q", "max", sizes, True), Objective("r", "min", sizes, True))
    algorithm = LocalSearch(Problem(SPACE, objectives), np.random.default_rng(0))
    genomes = np.array([(0,) * 12, (1,) * 12, (2,) * 12])
    algorithm.tell(genomes, np.array([[3.0, 1.0], [1.0, 3.0], [4.0, 4.0]]), np.zeros(3))
    asked = algorithm.ask(60)
    distance = (asked[:, None, :] != genomes[:2]).sum(axis=2).min(axis=1)
    assert distance.mean() < 2
    assert ((asked[:, None, :] != genomes[2]).sum(axis=1) > 0).any()


def test_nothing_infeasible_is_proposed_while_there_are_feasible_neighbours():
    problem = Problem(SPACE, (Objective("q", "max", sizes, True),), (Constraint("size", 8.0, sizes),))
    algorithm = LocalSearch(problem, np.random.default_rng(0))
    seen = set()
    for _ in range(5):
        genomes = algorithm.ask(20)
        assert max(sizes(genomes)) <= 8.0
        assert not seen & set(as_tuples(genomes))
        seen |= set(as_tuples(genomes))
        algorithm.tell(genomes, -np.array(sizes(genomes))[:, None], np.zeros(20))
    assert sizes(algorithm.front) == [8.0] * len(algorithm.front)


def test_when_the_neighbours_are_used_up_farther_genomes_come():
    algorithm = LocalSearch(Problem(Flat((2,) * 8), (Objective("q", "max", sizes, True),)), np.random.default_rng(0))
    algorithm.tell(np.zeros((1, 8), dtype=int), np.array([[-1.0]]), np.zeros(1))
    asked = algorithm.ask(100)
    assert len(set(as_tuples(asked))) == 100
    assert asked.sum(axis=1)[:30].mean() < asked.sum(axis=1)[70:].mean()
