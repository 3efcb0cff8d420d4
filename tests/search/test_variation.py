import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Tree

from nas.search.problem import as_tuples, canonical
from nas.search.variation import cross, mutate, single_changes

GENOMES = st.lists(st.tuples(*[st.integers(0, n - 1) for n in Tree.cardinalities]), min_size=1, max_size=20).map(
    np.array
)


@given(GENOMES, st.integers(0, 9))
def test_children_stay_in_range_and_canonical_children_have_no_inactive_gene(genomes, seed):
    space, rng = Tree(), np.random.default_rng(seed)
    for children in (
        cross(genomes, genomes[::-1], space.active(genomes), space.active(genomes)[::-1], rng),
        mutate(space, genomes, rng, 3),
        single_changes(space, genomes),
    ):
        assert ((children >= 0) & (children < space.cardinalities)).all()
        cleared = canonical(space, children)
        assert not cleared[~space.active(cleared)].any()
        assert np.array_equal(space.active(cleared), space.active(children))
        assert [space.decode(genome) for genome in canonical(space, cleared)] == as_tuples(cleared)


@given(GENOMES, st.integers(0, 9))
def test_each_gene_of_a_crossed_child_is_a_parents(genomes, seed):
    active = Tree().active(genomes)
    child = cross(genomes, genomes[::-1], active, active[::-1], np.random.default_rng(seed))
    assert ((child == genomes) | (child == genomes[::-1])).all()


@given(GENOMES)
def test_single_changes_are_all_genomes_that_differ_in_at_most_one_gene(genomes):
    changed = single_changes(Tree(), genomes).reshape(len(genomes), -1, genomes.shape[1])
    for genome, rows in zip(genomes, changed, strict=True):
        assert ((rows != genome).sum(axis=1) <= 1).all()
        assert len(set(as_tuples(rows))) == 1 + sum(n - 1 for n in Tree.cardinalities)


@pytest.mark.parametrize("changes", [1, 2])
def test_mutation_changes_as_many_active_genes_as_asked_on_average(changes):
    genomes = np.tile([2, 0, 1, 0, 0], (5000, 1))
    mutated = mutate(Tree(), genomes, np.random.default_rng(0), changes)
    assert (mutated != genomes).sum(axis=1).mean() == pytest.approx(changes, abs=0.06)
