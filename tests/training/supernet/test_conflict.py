"""Tensors that two kinds pull in opposite directions become two."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet, sharing_of
from nas.training.supernet.conflict import cosine, cosines
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe

TINY = SearchSpace.load("scan-mix-tiny")


def data(count=3):
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8)) for _ in range(count)]


@pytest.fixture
def training():
    torch.manual_seed(0)
    made = SupernetTraining(Supernet(TINY), SupernetRecipe(epochs=2, side_by_side=False), seed=0, steps_per_epoch=4)
    for batch in data():
        train_step(made, *batch)
    return made


def test_every_shared_tensor_is_judged_and_nothing_is_changed(training):
    before = training.state()
    found = cosines(training.supernet, data(), seed=0)
    assert found.keys() == training.supernet.aliases.keys() and len(found) == 20
    assert all(-1 <= each <= 1 for each in found.values()) and len(set(found.values())) > 10
    after = training.state()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert found == cosines(training.supernet, data(), seed=0)


def test_gradients_that_are_opposite_have_a_cosine_of_minus_one():
    gradient = torch.randn(4, 3)
    assert cosine(gradient, -2 * gradient) == pytest.approx(-1)
    assert cosine(gradient, torch.zeros(4, 3)) == 0


def logits(supernet, kind, images):
    largest = TINY.largest()
    rng = np.random.default_rng(0)
    some = [
        each
        for each in (TINY.sample(rng) for _ in range(40))
        if any(b.kind == kind for s in each.stages for b in s.blocks)
    ]
    with torch.no_grad():
        return torch.stack([supernet(images, each) for each in (largest, *some)])


def test_a_split_changes_no_output_and_lets_the_kinds_go_apart(training):
    apart = sorted(training.supernet.aliases)[:7]
    fresh = training.split(apart)
    images, labels = data(1)[0]
    for kind in ("ssd", "gated-conv"):
        one, other = logits(training.supernet.eval(), kind, images), logits(fresh.supernet.eval(), kind, images)
        torch.testing.assert_close(one, other)
    assert not set(apart) & fresh.supernet.aliases.keys()
    named = dict(fresh.supernet.named_parameters())
    alias = apart[0]
    home = training.supernet.aliases[alias]
    assert named[f"shared.{alias}"] is not named[f"shared.{home}"]
    states = [fresh.optimizer.state[named[f"shared.{each}"]] for each in (alias, home)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in ("exp_avg", "exp_avg_sq", "step"))
    for batch in data():
        train_step(fresh, *batch)
    assert not torch.equal(named[f"shared.{alias}"], named[f"shared.{home}"])
    assert F.cross_entropy(fresh.supernet(images, TINY.largest()), labels).isfinite()


def test_a_split_training_says_so_by_its_names_and_is_split_once(training):
    apart = sorted(training.supernet.aliases)[:2]
    fresh = training.split(apart)
    assert sharing_of(TINY, fresh.supernet.state_dict()).split == frozenset(apart)
    assert fresh.step == training.step and len(fresh.supernet.aliases) == 18
    more = fresh.split(sorted(fresh.supernet.aliases))
    assert not more.supernet.aliases and len(sharing_of(TINY, more.supernet.state_dict()).split) == 20
