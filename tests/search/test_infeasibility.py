import pytest
from toy_spaces import Flat

from nas.errors import NasError
from nas.search.algorithms import ALGORITHMS
from nas.search.loop import search
from nas.search.problem import Constraint, Objective


def sizes(candidates):
    return [5.0 + sum(candidate) for candidate in candidates]


def sizes_at_once(genomes):
    return 5.0 + genomes.sum(axis=1)


def depths(candidates):
    return [float(max(candidate)) for candidate in candidates]


def refuse(candidates):
    raise AssertionError("an expensive objective was evaluated")


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_the_limit_that_binds_is_named_with_its_reachable_minimum(algorithm):
    wide = Flat((4,) * 20)  # no random genome comes near the smallest
    limits = [Constraint("size", 4.5, sizes, sizes_at_once), Constraint("depth", 3.0, depths)]
    objectives = [Objective("accuracy", "max", refuse, expensive=True), Objective("size", "min", sizes)]
    with pytest.raises(NasError) as error:
        search(wide, objectives=objectives, constraints=limits, algorithm=algorithm, batch=500)
    assert "has size <= 4.5: the smallest size found is 5" in error.value.message
    assert "size" in error.value.hint
