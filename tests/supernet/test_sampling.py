from collections import Counter

import numpy as np

from nas.space.search_space import SearchSpace
from nas.supernet.sampling import rotation, sandwich, with_kinds


def test_a_step_trains_a_largest_random_and_the_smallest_subnet():
    space = SearchSpace.load("scan-mix-tiny")
    largest, *drawn, smallest = sandwich(space, step=5, seed=0)
    assert smallest == space.smallest() and len(drawn) == 2
    assert all(each in space for each in (largest, *drawn))
    assert [stage.width for stage in largest.stages] == [24, 48, 96]
    assert all(len(stage.blocks) == 2 for stage in largest.stages) and largest.resolution == 32


def test_the_subnets_of_a_step_depend_on_the_seed_and_the_step_alone():
    space = SearchSpace.load("scan-mix-tiny")
    assert sandwich(space, 7, seed=1) == sandwich(space, 7, seed=1)
    assert sandwich(space, 7, seed=1) != sandwich(space, 8, seed=1) != sandwich(space, 8, seed=2)


def test_every_slot_sees_every_kind_equally_often_in_a_cycle():
    space = SearchSpace.load("scan-mix-tiny")
    for member in (0, 1):
        seen = Counter(
            (s, b, kind)
            for step in range(5 * 3)  # a multiple of both numbers of kinds, 3 and 5
            for s, row in enumerate(rotation(space, step, seed=0, member=member))
            for b, kind in enumerate(row)
        )
        assert {count for (s, _, _), count in seen.items() if s == 0} == {5}
        assert {count for (s, _, _), count in seen.items() if s > 0} == {3}


def test_random_members_have_the_kinds_of_the_rotation():
    space = SearchSpace.load("scan-mix-tiny")
    rng = np.random.default_rng(0)
    for step in range(20):
        kinds = rotation(space, step, seed=0, member=1)
        drawn = with_kinds(space, kinds, rng, largest=False)
        assert drawn in space
        for stage, row in zip(drawn.stages, kinds, strict=True):
            assert [block.kind for block in stage.blocks] == row[: len(stage.blocks)]
