import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.space.architecture import Architecture, Block, Stage
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces

SPACES = {name: SearchSpace.load(name) for name in shipped_spaces()}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@every_space
def test_sampled_architectures_are_members_and_survive_their_genome(space):
    rng = np.random.default_rng(0)
    for _ in range(100):
        architecture = space.sample(rng)
        assert architecture in space
        assert space.decode(space.encode(architecture)) == architecture


@every_space
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_genes_without_effect_change_nothing_and_genes_with_effect_do(space, data):
    genome = np.array([data.draw(st.integers(0, count - 1)) for count in space.cardinalities])
    active = space.active(genome)[0]
    architecture = space.decode(genome)
    canonical = space.encode(architecture)
    assert (canonical[~active] == 0).all() and (canonical[active] == genome[active]).all()
    index = data.draw(st.integers(0, len(genome) - 1))
    changed = genome.copy()
    changed[index] = (genome[index] + 1) % space.cardinalities[index]
    assert (space.decode(changed) == architecture) == (not active[index] or changed[index] == genome[index])


@every_space
def test_smallest_and_largest_are_members_and_bound_the_samples(space):
    def macs(architecture):
        return architecture_cost(architecture, space.num_classes).macs

    rng = np.random.default_rng(1)
    low, high = macs(space.smallest()), macs(space.largest())
    assert space.smallest() in space and space.largest() in space
    assert all(low <= macs(space.sample(rng)) <= high for _ in range(100))


def test_the_toy_space_is_counted_right_and_small_enough_for_brute_force():
    toy = SPACES["toy"]
    everything = list(toy.everything())
    assert len(everything) == len(set(everything)) == toy.size <= 64
    genomes = {tuple(toy.encode(architecture)) for architecture in everything}
    assert len(genomes) == toy.size


def test_the_tiny_space_is_as_large_and_as_wide_as_promised():
    tiny = SPACES["scan-mix-tiny"]
    costs = [architecture_cost(each, 10).macs for each in (tiny.smallest(), tiny.largest())]
    assert tiny.size > 10**9
    assert 15 < costs[1] / costs[0] < 30


@every_space
def test_the_operators_of_a_space_are_those_of_its_architectures(space):
    listed = set(space.operators())
    rng = np.random.default_rng(2)
    drawn = [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(300))]
    met = {op for architecture in drawn for op in space.operators_of(architecture)}
    assert met <= listed
    assert len({op.key for op in listed}) == len(listed)
    if space.name == "toy":
        assert {op for architecture in space.everything() for op in space.operators_of(architecture)} == listed


@every_space
def test_a_space_survives_its_own_definition(space):
    assert SearchSpace.from_dict(space.to_dict()) == space
    assert SearchSpace.from_dict(space.to_dict()).hash == space.hash
    assert space.with_classes(7).hash != space.hash


def test_neighbours_differ_from_the_architecture_and_are_members():
    toy = SPACES["toy"]
    neighbours = list(toy.neighbours(toy.largest()))
    assert toy.largest() not in neighbours and all(each in toy for each in neighbours)
    assert len(neighbours) == 6  # resolution, width, depth and the kinds of three blocks


def test_foreign_architectures_are_not_members():
    toy = SPACES["toy"]
    alien = Architecture(16, (Stage(8, (Block.of("conv", kernel=5, expansion=2),)), Stage(16, (Block.of("basic"),))))
    assert alien not in toy and "toy" not in toy
    with pytest.raises(NasError, match="not in this space"):
        toy.encode(alien)


@pytest.mark.parametrize("genome", [[0], [99] * 12, [-1] * 12, [0.5] * 12])
def test_what_is_no_genome_is_refused(genome):
    with pytest.raises(NasError):
        SPACES["toy"].decode(np.array(genome))
