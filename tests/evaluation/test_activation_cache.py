"""What subnets have in common is run once, and the counts are those of each on its own."""

import numpy as np
import pytest
import torch

from nas.data.splits import Split, cut
from nas.evaluation.accuracy import inherited_subnet, num_correct
from nas.evaluation.activation_cache import ActivationCache, SubnetCounts
from nas.space.cost import macs
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet, placed_operators

SIZE = 12


def images_of(count, seed):
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return Supernet(SearchSpace.load("toy"))


@pytest.fixture(scope="module")
def calibration():
    return images_of(150, seed=1)


@pytest.fixture(scope="module")
def parts():
    labels = torch.randint(10, (300,), generator=torch.Generator().manual_seed(2))
    return cut(Split(images_of(300, seed=3), labels), (0.25, 1.0))


@pytest.fixture(scope="module")
def alone(supernet, calibration, parts):
    """Counts of every subnet, each taken out whole."""
    return {
        each: [num_correct(inherited_subnet(supernet, each, calibration), part) for part in parts]
        for each in supernet.space.everything()
    }


@pytest.mark.parametrize("most_bytes", [2**29, 2**21, 0])
def test_counts_are_those_of_each_subnet_alone_in_any_order_and_memory(supernet, calibration, parts, alone, most_bytes):
    counts = SubnetCounts(supernet, calibration, parts, most_bytes)
    rng = np.random.default_rng(0)
    for each in rng.permutation(np.array(list(alone), dtype=object)):
        stages = range(rng.integers(1, 3))  # a race may stop after the first part
        assert [counts.num_correct(each, stage) for stage in stages] == alone[each][: len(stages)]


def test_logits_are_those_of_the_extracted_subnet_to_the_bit(supernet, calibration, parts):
    counts = SubnetCounts(supernet, calibration, parts)
    for each in supernet.space.everything():
        counts.num_correct(each, 1)
        whole = inherited_subnet(supernet, each, calibration)
        images = parts[1].images[:125].contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            assert torch.equal(whole(images), counts.counted[1].outputs[-1][0])


def test_in_the_order_of_their_genomes_much_is_run_once(supernet, calibration, parts, monkeypatch):
    from nas.evaluation import activation_cache as prefix

    calibrated = []
    calibrate = prefix.calibrate_operator
    monkeypatch.setattr(prefix, "calibrate_operator", lambda *args: calibrated.append(args[2]) or calibrate(*args))
    counts, space = SubnetCounts(supernet, calibration, parts), supernet.space
    ordered = sorted(space.everything(), key=lambda each: space.encode(each).tolist())
    for each in ordered:
        counts.num_correct(each, 0)
    whole = sum(macs(op) for each in ordered for _, op in placed_operators(each, space.num_classes))
    assert sum(map(macs, calibrated)) < 0.5 * whole


def test_what_is_kept_stays_within_its_bytes():
    trail = ActivationCache(100)
    first, second, third = (torch.zeros(10) for _ in range(3))
    assert trail.fitting([first, second, third], 1) == 2
    trail.keep(0, "a", [first])
    trail.keep(1, "b", [first, second])
    trail.keep(2, "c", [])
    assert trail.steps == ["a"]
    trail.keep(1, "b", [second])
    assert (trail.steps, trail.room) == (["a", "b"], 20)
    assert trail.leave(["a", "c"]) == 1
    assert trail.room == 60
    assert trail.leave(["c"]) == 0
    assert trail.room == 100
