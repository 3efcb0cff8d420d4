import numpy as np
import pytest
from toy_spaces import Epistasis

from nas.search.algorithms.surrogate import DESIGN, Surrogate
from nas.search.loop import search
from nas.search.pareto import greedy_gains, hypervolume
from nas.search.problem import Constraint, Objective, Problem, as_tuples


def test_it_reaches_with_80_evaluations_what_nsga2_has_after_200():
    gains = []
    for seed in range(3):
        space = Epistasis(15, seed)
        reference = {"accuracy": -30.0, "latency_ms": 35.0}
        ours, theirs = (
            search(space, objectives=space.objectives, algorithm=name, budget=budget, seed=seed, reference=reference)
            for name, budget in (("surrogate", 80), ("nsga2", 200))
        )
        gains.append(ours.hypervolume_history[-1][1] / theirs.hypervolume_history[-1][1])
        assert ours.order_right > 0.6
        assert theirs.order_right is None
    assert np.median(gains) > 1.0


def told(space, n, seed=0, violations=None):
    algorithm = Surrogate(Problem(space, space.objectives), np.random.default_rng(seed))
    genomes = algorithm.ask(n)
    costs = np.stack([-space.accuracy(genomes), space.latency(genomes)], axis=1)
    algorithm.tell(genomes, costs, np.zeros(n) if violations is None else violations)
    return algorithm, genomes, costs


def test_before_the_first_fit_nothing_is_predicted_and_afterwards_costs_are():
    space = Epistasis(15, 0)
    algorithm, genomes, _ = told(space, DESIGN + 10)
    assert algorithm.predict(genomes) is None
    asked = algorithm.ask(10)
    predicted = algorithm.predict(asked)
    assert predicted.shape == (10, 2)
    assert np.allclose(predicted[:, 1], space.latency(asked))
    assert np.array_equal(predicted, algorithm.predict(asked))


@pytest.mark.parametrize("n", [1, 2, 20])
def test_a_batch_of_any_size_is_distinct_and_new(n):
    algorithm, genomes, _ = told(Epistasis(15, 0), 20)
    seen = set(as_tuples(genomes))
    for _ in range(3):
        asked = as_tuples(algorithm.ask(n))
        assert len(set(asked)) == n
        assert not set(asked) & seen
        seen |= set(asked)


def test_proposals_add_more_hypervolume_than_random_genomes():
    space = Epistasis(15, 0)
    algorithm, _, costs = told(space, 60)
    asked = algorithm.ask(20)
    drawn = np.random.default_rng(0).integers(3, size=(20, 15))
    reference = costs.max(axis=0) + 1

    def volume(genomes):
        more = np.stack([-space.accuracy(genomes), space.latency(genomes)], axis=1)
        return hypervolume(np.concatenate([costs, more]), reference)

    assert volume(asked) > volume(drawn) + 0.05 * volume(drawn)


def test_nothing_infeasible_is_proposed_while_there_is_something_feasible():
    space = Epistasis(15, 0)
    problem = Problem(space, space.objectives, (Constraint("latency_ms", 6.0, space.latency, space.latency),))
    algorithm = Surrogate(problem, np.random.default_rng(0))
    for _ in range(4):
        genomes = algorithm.ask(15)
        assert len(genomes) == 15
        assert (space.latency(genomes) <= 6.0).all()
        algorithm.tell(genomes, np.stack([-space.accuracy(genomes), space.latency(genomes)], axis=1), np.zeros(15))


def test_where_nothing_is_feasible_proposals_lead_towards_the_limit():
    space = Epistasis(15, 0)
    problem = Problem(space, space.objectives, (Constraint("latency_ms", -1.0, space.latency, space.latency),))
    algorithm = Surrogate(problem, np.random.default_rng(0))
    genomes = algorithm.ask(10)
    algorithm.tell(genomes, np.full((10, 2), np.inf), space.latency(genomes) + 1)
    assert as_tuples(genomes)[0] == (0,) * 15
    assert len(algorithm.ask(10)) == 10


def test_it_turns_away_from_failures():
    space = Epistasis(15, 0)
    algorithm = Surrogate(Problem(space, space.objectives), np.random.default_rng(0))
    shares = []
    for _ in range(6):
        genomes = algorithm.ask(20)
        failed = genomes[:, 0] == 2
        costs = np.stack([-space.accuracy(genomes), space.latency(genomes)], axis=1)
        algorithm.tell(genomes, np.where(failed[:, None], np.inf, costs), np.where(failed, np.inf, 0.0))
        shares.append(failed.mean())
    assert np.mean(shares[2:]) < 0.2


def test_two_expensive_objectives_and_a_single_one_are_predicted_too():
    space = Epistasis(15, 0)
    energy = Objective("energy", "min", lambda cs: (np.array(cs) ** 2 * space.price).sum(axis=1), expensive=True)
    result = search(space, objectives=[*space.objectives, energy], budget=60, seed=0)
    assert result.order_right > 0.6
    (best,) = search(space, objectives=space.objectives[:1], budget=80, seed=0).front
    drawn = np.random.default_rng(0).integers(3, size=(10_000, 15))
    assert best.metrics["accuracy"] > space.accuracy(drawn).max()


def test_the_number_of_threads_of_the_linear_algebra_changes_nothing():
    from threadpoolctl import threadpool_limits

    space = Epistasis(15, 0)
    genomes = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            genomes.append(
                [evaluation.genome for evaluation in search(space, objectives=space.objectives, budget=60).evaluations]
            )
    assert genomes[0] == genomes[1]


def test_greedy_gains_picks_what_a_search_over_all_rows_would():
    rng = np.random.default_rng(0)
    for num_objectives in (1, 2, 3):
        costs, front = rng.random((30, num_objectives)), 0.5 + 0.5 * rng.random((5, num_objectives))
        reference = np.full(num_objectives, 1.1)
        members, expected = front, []
        for _ in range(4):
            volumes = [hypervolume(np.concatenate([members, row[None]]), reference) for row in costs]
            if max(volumes) <= hypervolume(members, reference) + 1e-12:
                break
            expected.append(int(np.argmax(volumes)))
            members = np.concatenate([members, costs[expected[-1:]]])
        assert greedy_gains(costs[None], (1.0,), front, reference, 4) == expected


def test_a_gain_is_the_mean_over_what_the_costs_may_be():
    certain, gamble, hopeless = (1.0, 1.0), (3.0, 3.0), (3.0, 3.0)
    lucky, unlucky = (0.0, 0.0), (5.0, 5.0)
    views = np.array([[certain, gamble, hopeless], [certain, lucky, hopeless], [certain, unlucky, hopeless]])
    front, reference = np.array([[2.0, 2.0]]), np.array([4.0, 4.0])
    assert greedy_gains(views, (2 / 3, 1 / 6, 1 / 6), front, reference, 1) == [0]  # 5 for sure
    assert greedy_gains(views, (0.2, 0.6, 0.2), front, reference, 3) == [1, 0]  # 12 in three of five cases


def test_greedy_gains_leaves_out_what_adds_nothing():
    costs = np.array([[1.0, 1.0], [2.0, 2.0], [0.5, 3.0], [9.0, 0.0]])
    assert greedy_gains(costs[None], (1.0,), np.empty((0, 2)), np.array([4.0, 4.0]), 4) == [0, 2]
    assert greedy_gains(costs[None], (1.0,), costs, np.array([4.0, 4.0]), 4) == []
