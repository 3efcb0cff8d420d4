import numpy as np
import pytest
from toy_spaces import Epistasis, EpistasisChain, Flat

from nas.search.algorithms.nsga2 import ActiveCrossover, ActiveMutation, Nsga2
from nas.search.algorithms.random_search import list_unseen
from nas.search.loop import search
from nas.search.pareto import hypervolume
from nas.search.problem import Problem, as_tuples
from nas.statistics import non_dominated


def test_a_tenth_of_a_space_with_inactive_genes_holds_most_of_its_front():
    shares, volumes = [], []
    for seed in range(6):
        space = EpistasisChain(seed)
        members = np.array(list_unseen(space, set(), 10_000))
        costs = np.stack([-space.accuracy(members), space.latency(members)], axis=1)
        front = set(as_tuples(members[non_dominated(costs)]))
        corner = costs.max(axis=0) + 0.1
        reference = {"accuracy": -corner[0], "latency_ms": corner[1]}
        result = search(
            space, objectives=space.objectives, algorithm="nsga2", budget=328, seed=seed, reference=reference
        )
        assert len(members) == 3280
        shares.append(len(front & {evaluation.genome for evaluation in result.evaluations}) / len(front))
        volumes.append(result.hypervolume_history[-1][1] / hypervolume(costs, corner))
    assert np.median(shares) > 0.6
    assert min(volumes) > 0.95
    assert max(volumes) <= 1.0 + 1e-12


def test_nsga2_has_more_hypervolume_than_random_search_at_equal_budget():
    gains = []
    for seed in range(5):
        space = Epistasis(20, seed)
        reference = {"accuracy": -40.0, "latency_ms": 45.0}
        runs = [
            search(space, objectives=space.objectives, algorithm=name, budget=200, seed=seed, reference=reference)
            for name in ("nsga2", "random")
        ]
        evolved, drawn = (run.hypervolume_history[-1][1] for run in runs)
        gains.append(evolved / drawn)
    assert np.median(gains) > 1.05
    assert min(gains) > 1.0


def tell_noise(algorithm, genomes, rng):
    algorithm.tell(genomes, rng.normal(size=(len(genomes), 2)), rng.choice([0.0, 0.3, np.inf], size=len(genomes)))


def test_global_random_state_is_neither_read_nor_changed():
    def propose(global_seed):
        np.random.seed(global_seed)
        before = np.random.get_state()[1].tolist()
        algorithm = Nsga2(Problem(EpistasisChain(0), EpistasisChain(0).objectives), np.random.default_rng(3))
        noise, asked = np.random.default_rng(4), []
        for _ in range(6):
            genomes = algorithm.ask(15)
            asked.append(genomes.tolist())
            tell_noise(algorithm, genomes, noise)
        assert np.random.get_state()[1].tolist() == before
        return asked

    assert propose(0) == propose(1)


def test_proposals_are_canonical_in_range_and_new_even_with_infeasible_and_failed_ones_told():
    space = EpistasisChain(0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    noise, asked = np.random.default_rng(1), []
    for n in (30, 1, 20, 0, 7, 20):
        genomes = algorithm.ask(n)
        assert genomes.shape == (n, 8)
        assert not genomes[~space.active(genomes)].any()
        assert ((genomes >= 0) & (genomes < space.cardinalities)).all()
        asked += as_tuples(genomes)
        tell_noise(algorithm, genomes, noise)
    assert len(asked) == len(set(asked))


def test_what_was_told_is_not_proposed():
    space = EpistasisChain(0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    told = np.array(list_unseen(space, set(), 10_000)[:3275])
    algorithm.tell(told, np.zeros((len(told), 2)), np.zeros(len(told)))
    asked = as_tuples(algorithm.ask(20))
    assert len(asked) == 5
    assert not set(asked) & set(as_tuples(told))


def test_all_infeasible_parents_lead_towards_a_smaller_violation():
    space = Epistasis(20, 0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    means = []
    for _ in range(15):
        genomes = algorithm.ask(20)
        violation = genomes.sum(axis=1).astype(float) + 1
        means.append(violation.mean())
        algorithm.tell(genomes, np.full((20, 2), np.inf), violation)
    assert means[-1] < 0.5 * means[0]


def test_proposals_go_on_after_the_costs_have_stood_still_for_long():
    space = EpistasisChain(0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    for _ in range(150):  # pymoo's own default would have ended such a run
        genomes = algorithm.ask(10)
        assert len(genomes) == 10
        algorithm.tell(genomes, np.ones((10, 2)), np.zeros(10))


def test_crossover_takes_a_gene_from_the_parent_in_which_it_is_active():
    short, long = np.array([[2, *[1] * 2, *[0] * 5]]), np.array([[7, *[2] * 7]])
    for seed in range(5):
        child = ActiveCrossover(EpistasisChain(0))._do(
            None, np.stack([short, long]), random_state=np.random.default_rng(seed)
        )
        assert child.shape == (1, 1, 8)
        assert (child[0, 0, 3:] == 2).all()
        assert set(child[0, 0, 1:3]) <= {1, 2}
        assert child[0, 0, 0] in (2, 7)


@pytest.mark.parametrize("depth", [0, 4, 7])
def test_mutation_changes_about_one_active_gene_to_another_choice_and_wakes_genes_at_random(depth):
    genomes = np.zeros((4000, 8), dtype=int)
    genomes[:, 0] = depth
    mutated = ActiveMutation(EpistasisChain(0))._do(None, genomes, random_state=np.random.default_rng(0))
    changed = mutated[:, : depth + 1] != genomes[:, : depth + 1]
    assert changed.sum(axis=1).mean() == pytest.approx(1.0, abs=0.06)
    assert ((mutated >= 0) & (mutated < EpistasisChain(0).cardinalities)).all()
    for sleeping in range(depth + 1, 8):
        assert np.bincount(mutated[:, sleeping], minlength=3) / 4000 == pytest.approx(1 / 3, abs=0.04)


def test_genes_without_a_choice_do_not_slow_mutation_down():
    padded = Flat((3, *(1,) * 30, 3))
    genomes = np.zeros((4000, 32), dtype=int)
    mutated = ActiveMutation(padded)._do(None, genomes, random_state=np.random.default_rng(0))
    assert (mutated != genomes).sum(axis=1).mean() == pytest.approx(1.0, abs=0.06)
    assert not mutated[:, 1:-1].any()
