from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from nas.errors import NasError
from nas.supernet.supernet import Supernet
from nas.training.losses import child_loss
from nas.training.supernet.gradients import SequentialGradients, ThreadedGradients
from nas.training.supernet.recipe import SupernetRecipe

RECIPE = SupernetRecipe(batch_size=16)


def batch():
    generator = torch.Generator().manual_seed(5)
    return torch.randn(16, 3, 16, 16, generator=generator), torch.arange(16) % 10


def doubled(tensors):
    return tuple(torch.cat([each, each]) for each in tensors)


def gradients(space, way, recipe, architectures, images, labels):
    torch.manual_seed(0)
    supernet = Supernet(space).train()
    loss = way(supernet, recipe).add(architectures, images, labels)
    return loss, {name: p.grad for name, p in supernet.named_parameters() if p.grad is not None}


def assert_same(one, other, **tolerances):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **tolerances)


@pytest.fixture
def members(toy, context_of):
    from nas.training.supernet.sampling import sandwich

    return sandwich(context_of(toy, step=3))


@pytest.mark.parametrize("way", [SequentialGradients, ThreadedGradients])
def test_the_gradients_are_those_of_the_summed_losses(toy, members, way):
    images, labels = batch()
    loss, found = gradients(toy, way, RECIPE, members, images, labels)
    torch.manual_seed(0)
    supernet = Supernet(toy).train()
    logits = [supernet(images, each) for each in members]
    own = F.cross_entropy(logits[0], labels)
    (own + sum(child_loss(each, logits[0], labels, RECIPE.distill) for each in logits[1:])).backward()
    assert loss == pytest.approx(own.item(), rel=1e-6)
    expected = {name: p.grad for name, p in supernet.named_parameters() if p.grad is not None}
    assert_same(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", [SequentialGradients, ThreadedGradients])
def test_a_batch_in_parts_that_are_alike_has_the_gradients_of_the_whole(toy, members, way):
    images, labels = doubled(batch())  # BatchNorm then sees the same moments in each part
    whole = gradients(toy, way, RECIPE, members, images, labels)
    parts = gradients(toy, way, replace(RECIPE, accumulate=2), members, images, labels)
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert_same(parts[1], whole[1], rtol=1e-3, atol=1e-5)


def test_equal_subnets_that_split_a_batch_have_together_the_gradients_of_one_that_sees_all_of_it(toy):
    images, labels = doubled(batch())
    ends = toy.largest(), toy.smallest()
    whole = gradients(toy, SequentialGradients, RECIPE, [ends[0], ends[1], ends[1]], images, labels)
    split = replace(RECIPE, split_batch=True)
    halves = gradients(toy, SequentialGradients, split, [ends[0], ends[1], ends[1], ends[1]], images, labels)
    assert_same(halves[1], whole[1], rtol=1e-3, atol=1e-5)


def test_products_in_bf16_give_nearly_the_gradients_of_float32(toy, members):
    images, labels = batch()
    (exact, whole), (loss, rounded) = (
        gradients(toy, SequentialGradients, replace(RECIPE, precision=name), members, images, labels)
        for name in ("fp32", "bf16")
    )
    assert loss == pytest.approx(exact, rel=0.05) and loss != exact
    one, other = (torch.cat([grads[name].flatten() for name in sorted(grads)]) for grads in (whole, rounded))
    assert other.dtype == torch.float32
    assert F.cosine_similarity(one, other, dim=0) > 0.95


def test_an_error_in_one_thread_ends_the_other(toy, members):
    images, labels = batch()
    supernet = Supernet(toy).train()
    gradients = ThreadedGradients(supernet, RECIPE)
    with pytest.raises(IndexError):
        gradients.add(members, images, labels + 10)  # no such class: the largest subnet fails
    assert gradients.second_thread.submit(lambda: "free").result(timeout=10) == "free"


def test_a_batch_that_cannot_be_cut_into_equal_parts_is_refused():
    with pytest.raises(NasError, match=r"batch of 16 has no 3 equal parts.*accumulate"):
        SupernetRecipe(batch_size=16, accumulate=3)
