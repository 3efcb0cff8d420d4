import numpy as np
import pytest

from nas.search.algorithms.nsga2 import ActiveCrossover, ActiveMutation, Nsga2
from nas.search.algorithms.random_search import list_unseen
from nas.search.loop import search
from nas.search.pareto import hypervolume
from nas.search.problem import Objective, Problem, as_tuples
from nas.statistics import non_dominated


class Epistasis:
    """20 genes of 3 choices, all active; accuracy has a term for every pair of neighbours, latency is a sum."""

    cardinalities: tuple[int, ...] = (3,) * 20

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.gain = rng.normal(size=(20, 3)) + 0.8 * np.arange(3)
        self.pair = rng.normal(size=(20, 3, 3))
        self.price = rng.uniform(0.5, 1.5, size=20)

    def active(self, genomes):
        return np.ones(genomes.shape, dtype=bool)

    def decode(self, genome):
        return genome

    def accuracy(self, candidates):
        genomes, genes = np.array(candidates), np.arange(20)
        following = np.roll(genomes, -1, axis=1)
        return (self.gain[genes, genomes] + self.pair[genes, genomes, following]).sum(axis=1)

    def latency(self, candidates):
        return (np.array(candidates) * self.price).sum(axis=1)

    @property
    def objectives(self):
        return (Objective("accuracy", "max", self.accuracy, True), Objective("latency_ms", "min", self.latency))


class Chain(Epistasis):
    """Gene 0 says how many of the 7 other genes are active: 3280 members."""

    cardinalities = (8, *(3,) * 7)

    def active(self, genomes):
        return np.arange(8) <= genomes[:, :1]

    def accuracy(self, candidates):
        genomes, genes = np.array(candidates), np.arange(1, 8)
        kinds, following = genomes[:, 1:], np.append(genomes[:, 2:], np.zeros((len(genomes), 1), dtype=int), axis=1)
        terms = 1.0 + self.gain[genes, kinds] + self.pair[genes, kinds, following]
        return np.where(self.active(genomes)[:, 1:], terms, 0.0).sum(axis=1)

    def latency(self, candidates):
        genomes = np.array(candidates)
        return np.where(self.active(genomes), self.price[:8] * (1 + genomes), 0.0)[:, 1:].sum(axis=1)


def test_a_tenth_of_a_space_with_inactive_genes_holds_most_of_its_front():
    shares, volumes = [], []
    for seed in range(6):
        space = Chain(seed)
        members = np.array(list_unseen(space, set(), 10_000))
        costs = np.stack([-space.accuracy(members), space.latency(members)], axis=1)
        front = set(as_tuples(members[non_dominated(costs)]))
        corner = costs.max(axis=0) + 0.1
        reference = {"accuracy": -corner[0], "latency_ms": corner[1]}
        result = search(
            space, objectives=space.objectives, algorithm="nsga2", budget=328, seed=seed, reference=reference
        )
        assert len(members) == 3280
        shares.append(len(front & {each.genome for each in result.evaluations}) / len(front))
        volumes.append(result.hypervolume_history[-1][1] / hypervolume(costs, corner))
    assert np.median(shares) > 0.6
    assert min(volumes) > 0.95
    assert max(volumes) <= 1.0 + 1e-12


def test_nsga2_has_more_hypervolume_than_random_search_at_equal_budget():
    gains = []
    for seed in range(5):
        space = Epistasis(seed)
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
        algorithm = Nsga2(Problem(Chain(0), Chain(0).objectives), np.random.default_rng(3))
        noise, asked = np.random.default_rng(4), []
        for _ in range(6):
            genomes = algorithm.ask(15)
            asked.append(genomes.tolist())
            tell_noise(algorithm, genomes, noise)
        assert np.random.get_state()[1].tolist() == before
        return asked

    assert propose(0) == propose(1)


def test_proposals_are_canonical_in_range_and_new_even_with_infeasible_and_failed_ones_told():
    space = Chain(0)
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
    space = Chain(0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    told = np.array(list_unseen(space, set(), 10_000)[:3275])
    algorithm.tell(told, np.zeros((len(told), 2)), np.zeros(len(told)))
    asked = as_tuples(algorithm.ask(20))
    assert len(asked) == 5
    assert not set(asked) & set(as_tuples(told))


def test_all_infeasible_parents_lead_towards_a_smaller_violation():
    space = Epistasis(0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    means = []
    for _ in range(15):
        genomes = algorithm.ask(20)
        violation = genomes.sum(axis=1).astype(float) + 1
        means.append(violation.mean())
        algorithm.tell(genomes, np.full((20, 2), np.inf), violation)
    assert means[-1] < 0.5 * means[0]


def test_proposals_go_on_after_the_costs_have_stood_still_for_long():
    space = Chain(0)
    algorithm = Nsga2(Problem(space, space.objectives), np.random.default_rng(0))
    for _ in range(150):  # pymoo's own default would have ended such a run
        genomes = algorithm.ask(10)
        assert len(genomes) == 10
        algorithm.tell(genomes, np.ones((10, 2)), np.zeros(10))


def test_crossover_takes_a_gene_from_the_parent_in_which_it_is_active():
    short, long = np.array([[2, *[1] * 2, *[0] * 5]]), np.array([[7, *[2] * 7]])
    for seed in range(5):
        child = ActiveCrossover(Chain(0))._do(None, np.stack([short, long]), random_state=np.random.default_rng(seed))
        assert child.shape == (1, 1, 8)
        assert (child[0, 0, 3:] == 2).all()
        assert set(child[0, 0, 1:3]) <= {1, 2}
        assert child[0, 0, 0] in (2, 7)


@pytest.mark.parametrize("depth", [0, 4, 7])
def test_mutation_changes_about_one_active_gene_to_another_choice_and_wakes_genes_at_random(depth):
    genomes = np.zeros((4000, 8), dtype=int)
    genomes[:, 0] = depth
    mutated = ActiveMutation(Chain(0))._do(None, genomes, random_state=np.random.default_rng(0))
    changed = mutated[:, : depth + 1] != genomes[:, : depth + 1]
    assert changed.sum(axis=1).mean() == pytest.approx(1.0, abs=0.06)
    assert ((mutated >= 0) & (mutated < Chain.cardinalities)).all()
    for sleeping in range(depth + 1, 8):
        assert np.bincount(mutated[:, sleeping], minlength=3) / 4000 == pytest.approx(1 / 3, abs=0.04)


def test_genes_without_a_choice_do_not_slow_mutation_down():
    class Padded(Epistasis):
        cardinalities = (3, *(1,) * 30, 3)

    genomes = np.zeros((4000, 32), dtype=int)
    mutated = ActiveMutation(Padded(0))._do(None, genomes, random_state=np.random.default_rng(0))
    assert (mutated != genomes).sum(axis=1).mean() == pytest.approx(1.0, abs=0.06)
    assert not mutated[:, 1:-1].any()
