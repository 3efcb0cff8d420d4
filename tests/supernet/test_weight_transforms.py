"""Kernel matrices and experts: a supernet begins as it would without them, and what they learn is extracted."""

import copy

import numpy as np
import pytest
import torch

import nas
from nas.space.search_space import SearchSpace
from nas.supernet.sharing import Sharing
from nas.supernet.supernet import Supernet, sharing_of
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe

TINY = SearchSpace.load("scan-mix-tiny")
SHARINGS = [Sharing(kernel_matrices=True), Sharing(experts=3), Sharing(kernel_matrices=True, experts=2)]


def supernet_of(sharing, learned=0.0):
    """The supernet of seed 0, with matrices and differences away from their initial values by `learned`."""
    torch.manual_seed(0)
    plain = Supernet(TINY)
    made = Supernet(TINY, sharing=sharing)
    made.load_state_dict({**made.state_dict(), **plain.state_dict()})
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            if name.startswith(("kernel_matrices.", "experts.deltas.")):
                tensor.add_(learned * torch.randn(tensor.shape))
    return plain.eval(), made.eval()


def drawn(count=6):
    rng = np.random.default_rng(0)
    return [TINY.smallest(), TINY.largest(), *(TINY.sample(rng) for _ in range(count))]


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_a_supernet_begins_as_it_would_without(sharing, images):
    plain, made = supernet_of(sharing)
    with torch.no_grad():
        for each in drawn():
            torch.testing.assert_close(made(images, each), plain(images, each), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_the_extracted_model_equals_the_supernet(sharing, images):
    plain, made = supernet_of(sharing, learned=0.02)
    with torch.no_grad():
        for each in drawn():
            stats = nas.calibrate(made, each, images)
            torch.testing.assert_close(
                nas.extract(made, each, stats)(images), made(images, each, stats), rtol=1e-4, atol=1e-4
            )
        smallest = TINY.smallest()
        assert not torch.allclose(made(images, smallest), plain(images, smallest), rtol=1e-3)


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_how_weights_are_shared_is_read_from_their_names(sharing):
    assert sharing_of(TINY, supernet_of(sharing)[1].state_dict()) == sharing
    assert sharing_of(TINY, Supernet(TINY).state_dict()) == Sharing()


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_twins_and_copies_run_on_weights_of_theirs(sharing, images):
    _, made = supernet_of(sharing, learned=0.02)
    with torch.no_grad():
        before = made(images, TINY.smallest())
        assert torch.equal(made.twin()(images, TINY.smallest()), before)
        copied = copy.deepcopy(made)
        for name, tensor in made.named_parameters():
            if name.startswith(("kernel_matrices.", "experts.")):
                tensor.zero_()
        assert torch.equal(copied(images, TINY.smallest()), before)


@pytest.mark.parametrize("options", [{"kernel_matrices": True}, {"experts": 2}], ids=str)
def test_they_are_trained(options, images):
    recipe = SupernetRecipe(epochs=1, **options)
    torch.manual_seed(0)
    training = SupernetTraining(Supernet(TINY, sharing=recipe.sharing), recipe, seed=0, steps_per_epoch=8)
    before = {name: each.detach().clone() for name, each in training.supernet.named_parameters()}
    for _ in range(8):
        train_step(training, images, torch.arange(8))
    parts = ("kernel_matrices.",) if "kernel_matrices" in options else ("experts.deltas.", "experts.routers.")
    for part in parts:
        moved = [
            not torch.equal(each, before[name]) for name, each in training.supernet.named_parameters() if part in name
        ]
        assert np.mean(moved) > 0.5


def test_a_small_kernel_is_a_matrix_times_the_centre_of_the_large_one():
    _, made = supernet_of(Sharing(kernel_matrices=True))
    matrices = made.kernel_matrices
    shared = torch.randn(6, 1, 5, 5)
    name = next(each for each in matrices.matrices if each.startswith("stage1-block0-conv/") and each.endswith("/3"))
    module, *path, kernel = name.split("/")
    assert kernel == "3" and matrices.matrices[name].shape == (9, 9)
    with torch.no_grad():
        matrices.matrices[name].copy_(torch.randn(9, 9))
        found = matrices.through(module, ".".join(path), shared[:4, :, 1:4, 1:4], shared)
    for channel in range(4):
        expected = shared[channel, 0, 1:4, 1:4].reshape(9) @ matrices.matrices[name]
        torch.testing.assert_close(found[channel, 0].flatten(), expected)
    assert matrices.through(module, ".".join(path), shared, shared) is shared


def test_matrices_do_not_decay_to_nothing():
    recipe = SupernetRecipe(kernel_matrices=True)
    training = SupernetTraining(Supernet(TINY, sharing=recipe.sharing), recipe, seed=0, steps_per_epoch=8)
    ids = {id(each) for each in training.supernet.kernel_matrices.parameters()}
    for group in training.optimizer.param_groups:
        if group["weight_decay"] > 0:
            assert not ids & {id(each) for each in group["params"]}


def test_shares_add_up_and_differ_between_operators():
    _, made = supernet_of(Sharing(experts=3))
    name = "stage1-block0-conv"
    ops = [op for op in TINY.operators() if op.kind == "conv" and op.in_channels in TINY.stages[1].widths]
    shares = torch.stack([made.experts.shares(name, op) for op in ops])
    assert shares.shape == (len(ops), 2) and (shares > 0).all() and (shares.sum(1) < 1).all()
    assert len(set(map(tuple, shares.tolist()))) == len({(op.in_channels, op.grid, op.settings) for op in ops})
