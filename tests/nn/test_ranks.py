"""Two processes on half a batch each do what one does on all of it."""

from datetime import timedelta

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from nas.nn.ranks import SINGLE_PROCESS, Ranks
from nas.nn.sync_batch_norm import SyncBatchNorm, join_norms
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet
from nas.training.supernet.gradients import DataParallelGradients, SequentialGradients, gradients_of
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe
from nas.training.supernet.sampling import sandwich

BATCH, STEPS = 16, 3
RECIPES = {
    "plain": SupernetRecipe(epochs=1, side_by_side=False),
    "parts": SupernetRecipe(epochs=1, side_by_side=False, accumulate=2, split_batch=True),
    "mixed": SupernetRecipe(epochs=1, side_by_side=False, mixup=0.8, sampling="attentive-worst"),
}


def train(recipe, ranks):
    """Gradients and running statistics of the first step, and losses of a few."""
    torch.manual_seed(0)
    training = SupernetTraining(Supernet(SearchSpace.load("toy"), ranks), recipe, seed=0, steps_per_epoch=20)
    training.supernet.train()
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(STEPS, BATCH, 3, 16, 16))).float()
    labels = torch.from_numpy(rng.integers(10, size=(STEPS, BATCH)))
    parts = [(images[k][ranks.share], labels[k][ranks.share]) for k in range(STEPS)]
    training.gradients.add(sandwich(training.context(*parts[0]), recipe.sampling), *parts[0])
    named = training.supernet.named_parameters()
    gradients = {name: each.grad.clone() for name, each in named if each.grad is not None}
    buffers = {name: each.clone() for name, each in training.supernet.named_buffers()}
    return {"gradients": gradients, "buffers": buffers, "losses": [train_step(training, *part) for part in parts]}


def work(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    torch.set_num_threads(1)
    found = {name: train(recipe, Ranks(rank, 2)) for name, recipe in RECIPES.items()}
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    multiprocessing.spawn(work, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_gradients_losses_and_statistics_are_those_of_one_process(by_two, name):
    one, two = train(RECIPES[name], SINGLE_PROCESS), by_two[0][name]
    assert two["gradients"].keys() == one["gradients"].keys()
    size = torch.cat([each.flatten() for each in one["gradients"].values()]).norm()
    for key, expected in one["gradients"].items():  # some are zero but for rounding: the norm after them undoes them
        assert (two["gradients"][key] - expected).norm() < 1e-5 * size, key
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    for key, expected in one["buffers"].items():
        torch.testing.assert_close(two["buffers"][key], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_both_processes_hold_the_same_bits(by_two, name):
    first, second = (found[name] for found in by_two)
    assert first["losses"] == second["losses"]
    assert all(torch.equal(first["gradients"][key], second["gradients"][key]) for key in first["gradients"])
    assert all(torch.equal(first["buffers"][key], second["buffers"][key]) for key in first["buffers"])


def test_shares_make_up_the_batch_and_equal_parts_of_them_are_shares_of_parts():
    batch = torch.arange(24)
    shares = [batch[Ranks(rank, 3).share] for rank in range(3)]
    assert torch.equal(torch.stack(shares, 1).flatten(), batch)
    for k, part in enumerate(batch.chunk(2)):
        assert torch.equal(torch.cat([each.chunk(2)[k] for each in shares]).sort().values, part)


def test_one_process_needs_no_peers():
    tensor = torch.ones(3, requires_grad=True)
    assert SINGLE_PROCESS.mean(tensor) is tensor and SINGLE_PROCESS.whole(tensor) is tensor
    module = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    assert type(join_norms(module, SINGLE_PROCESS)[0]) is torch.nn.BatchNorm2d
    supernet = Supernet(SearchSpace.load("toy"))
    assert type(gradients_of(supernet, RECIPES["plain"])) is SequentialGradients
    supernet.ranks = Ranks(0, 2)
    assert type(gradients_of(supernet, RECIPES["plain"])) is DataParallelGradients


def test_a_joint_norm_of_one_process_is_a_batch_norm():
    usual, images = torch.nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5) + 2
    joint = SyncBatchNorm(3)
    for norm in (usual, joint):
        torch.nn.init.constant_(norm.weight, 0.7)
    one, other = images.clone().requires_grad_(), images.clone().requires_grad_()
    torch.testing.assert_close(joint(other), usual(one))
    (usual(one) ** 3).sum().backward()
    (joint(other) ** 3).sum().backward()
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-4)
    for name, expected in usual.named_buffers():
        torch.testing.assert_close(dict(joint.named_buffers())[name], expected)
