from collections import Counter

import numpy as np
import pytest

from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import by_cost
from nas.training.supernet.cost_bin_losses import CostBinLosses
from nas.training.supernet.fair_sampling import rotation, with_kinds
from nas.training.supernet.sampling import SAMPLINGS, sandwich

TINY = SearchSpace.load("scan-mix-tiny")


def macs(architecture):
    return float(architecture_cost(architecture, 10).macs)


@pytest.fixture(scope="module")
def ranges():
    return by_cost(TINY, macs, 10, seed=0)


@pytest.fixture
def tiny_turn(context_of, ranges):
    """A turn of `scan-mix-tiny` in which larger subnets have less loss and `basic` has the largest gradients."""
    seen = {"bins": lambda: ranges, "score": lambda each: -macs(each)}
    seen["gradient"] = lambda name: 4.0 if name.endswith("basic") else 1.0
    seen["front"] = [TINY.sample(np.random.default_rng(k)) for k in range(30)]
    return lambda step=0, seed=0, **given: context_of(TINY, step, seed, **{**seen, **given})


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_step_trains_a_largest_random_and_the_smallest_subnet(tiny_turn, sampling):
    largest, *drawn, smallest = sandwich(tiny_turn(step=5), sampling)
    assert smallest == TINY.smallest() and len(drawn) == 2
    assert all(each in TINY for each in (largest, *drawn))
    assert [stage.width for stage in largest.stages] == [24, 48, 96]
    assert all(len(stage.blocks) == 2 for stage in largest.stages) and largest.resolution == 32


def test_the_smallest_may_take_its_kinds_from_the_rotation(tiny_turn):
    found = [sandwich(tiny_turn(step), rotate_smallest=True)[-1] for step in range(3 * 5)]
    for each in found:
        assert each in TINY and each.resolution == min(TINY.resolutions)
        assert [stage.width for stage in each.stages] == [min(stage.widths) for stage in TINY.stages]
        assert all(len(stage.blocks) == 1 for stage in each.stages)
    for s, stage in enumerate(TINY.stages):
        kinds = Counter(each.stages[s].blocks[0].kind for each in found)
        assert kinds == dict.fromkeys(stage.kinds, 15 // len(stage.kinds))
    expansions = {
        kind: {
            dict(block.settings).get("expansion")
            for stage in TINY.stages
            for block in stage.blocks
            if block.kind == kind
        }
        for kind in ("conv", "gated-conv")
    }
    assert all(len(some) > 1 for some in expansions.values())
    for block in (stage.blocks[0] for each in found for stage in each.stages if stage.blocks[0].kind in expansions):
        assert block["expansion"] == min(expansions[block.kind])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_subnets_of_a_step_depend_on_the_seed_and_the_step_alone(tiny_turn, sampling):
    assert sandwich(tiny_turn(7, 1), sampling) == sandwich(tiny_turn(7, 1), sampling)
    assert sandwich(tiny_turn(7, 1), sampling) != sandwich(tiny_turn(8, 1), sampling)
    assert sandwich(tiny_turn(8, 1), sampling) != sandwich(tiny_turn(8, 2), sampling)


def drawn_by(tiny_turn, sampling, steps=200, **given):
    return [each for step in range(steps) for each in sandwich(tiny_turn(step, **given), sampling)[1:-1]]


def test_sampling_by_progress_draws_ranges_whose_losses_fall_more_often(tiny_turn, ranges):
    number = {each: k for k, some in enumerate(ranges) for each in some}
    losses, falling, seen = CostBinLosses(len(ranges)), 2, Counter()
    for step in range(600):
        fallen = 1e-3 * step
        context = tiny_turn(step, losses=losses, score=lambda each, by=fallen: 2.0 - by * (number[each] == falling))
        seen.update(number[each] for each in sandwich(context, "progress")[1:-1])
    assert min(seen[k] for k in range(len(ranges))) > 1200 * 0.3 / len(ranges)
    assert seen[falling] > 3 * max(seen[k] for k in range(len(ranges)) if k != falling)


def test_front_sampling_draws_members_of_a_front_and_their_neighbours(tiny_turn):
    front = tiny_turn().front
    drawn = drawn_by(tiny_turn, "front")
    members = [each for each in drawn if each in front]
    near = {each for member in front for each in TINY.neighbours(member)}
    assert 0.4 < len(members) / len(drawn) < 0.6 and all(each in near for each in drawn if each not in members)
    assert set(members) == set(front)


def test_complexity_sampling_draws_every_range_equally_often_as_uniform_sampling_does_not(tiny_turn, ranges):
    number = {each: k for k, some in enumerate(ranges) for each in some}
    counts = Counter(number[each] for each in drawn_by(tiny_turn, "complexity"))
    assert len(counts) == len(ranges) and max(counts.values()) < 2.5 * min(counts.values())
    sizes = [len(some) for some in ranges]
    assert max(sizes) > 5 * min(sizes)


def test_attentive_sampling_takes_the_best_or_the_worst_of_a_range(tiny_turn):
    plain, best, worst = (
        np.mean([macs(each) for each in drawn_by(tiny_turn, name)])
        for name in ("complexity", "attentive-best", "attentive-worst")
    )
    assert worst < plain < best


def test_kinds_with_larger_gradients_are_drawn_more_often_as_the_training_goes_on(tiny_turn):
    def share(done):
        drawn = drawn_by(tiny_turn, "gradient", done=done)
        kinds = Counter(block.kind for each in drawn for block in each.stages[2].blocks)
        return kinds["basic"] / kinds.total()

    assert share(0.0) == pytest.approx(1 / 5, abs=0.05)
    assert share(0.5) == pytest.approx(0.5 * 4 / 8 + 0.5 / 5, abs=0.06)
    assert share(1.0) == pytest.approx(share(0.5), abs=0.06)  # never without a uniform part
    unknown = drawn_by(tiny_turn, "gradient", done=1.0, gradient=lambda name: 0.0)
    kinds = Counter(block.kind for each in unknown for block in each.stages[2].blocks)
    assert max(kinds.values()) < 1.6 * min(kinds.values())


def test_every_slot_sees_every_kind_equally_often_in_a_cycle():
    for member in (0, 1):
        seen = Counter(
            (s, b, kind)
            for step in range(5 * 3)  # a multiple of both numbers of kinds, 3 and 5
            for s, row in enumerate(rotation(TINY, step, seed=0, member=member))
            for b, kind in enumerate(row)
        )
        assert {count for (s, _, _), count in seen.items() if s == 0} == {5}
        assert {count for (s, _, _), count in seen.items() if s > 0} == {3}


def test_random_members_have_the_kinds_of_the_rotation():
    rng = np.random.default_rng(0)
    for step in range(20):
        kinds = rotation(TINY, step, seed=0, member=1)
        drawn = with_kinds(TINY, kinds, rng)
        assert drawn in TINY
        for stage, row in zip(drawn.stages, kinds, strict=True):
            assert [block.kind for block in stage.blocks] == row[: len(stage.blocks)]
