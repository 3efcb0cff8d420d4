import numpy as np
import pytest

from nas.space.cost import architecture_cost, operator_cost
from nas.space.operator_sums import OperatorSums
from nas.space.search_space import SearchSpace


@pytest.mark.parametrize("name", ["toy", "scan-mix-tiny"])
def test_sums_over_arrays_equal_those_of_the_decoded_architectures(name):
    space = SearchSpace.load(name)
    sums = OperatorSums(space, lambda operator: operator_cost(operator).macs)
    genomes = np.random.default_rng(0).integers(space.cardinalities, size=(300, len(space.cardinalities)))
    expected = [architecture_cost(space.decode(genome), space.num_classes).macs for genome in genomes]
    assert sums(genomes).tolist() == expected
    assert sums(genomes[::-1]).tolist() == expected[::-1]


@pytest.mark.parametrize("name", ["toy", "scan-mix-tiny"])
def test_operators_are_those_that_run_in_their_order(name):
    space = SearchSpace.load(name)
    for genome in np.random.default_rng(1).integers(space.cardinalities, size=(20, len(space.cardinalities))):
        valued = []
        OperatorSums(space, lambda operator, valued=valued: valued.append(operator) or 0.0)(genome[None])
        assert tuple(valued) == space.operators_of(space.decode(genome))


def test_each_choice_is_valued_once():
    space = SearchSpace.load("toy")
    calls = []
    sums = OperatorSums(space, lambda operator: calls.append(operator) or 1.0)
    genomes = np.random.default_rng(0).integers(space.cardinalities, size=(2000, len(space.cardinalities)))
    sums(genomes)
    num_calls = len(calls)
    assert num_calls < 60
    sums(genomes)
    assert len(calls) == num_calls


def test_no_genomes_have_no_sums():
    space = SearchSpace.load("toy")
    assert OperatorSums(space, lambda operator: 1.0)(np.empty((0, len(space.cardinalities)), dtype=int)).shape == (0,)
