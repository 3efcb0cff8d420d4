import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.data.splits import Dataset, Split
from nas.errors import NasError
from nas.training.network import Recipe, train_model
from nas.training.sparsity import Combinations, settle, sparsify

RECIPE = Recipe(epochs=6, batch_size=16, ema_share=0.1, learning_rate=0.02)


def made_up():
    images = torch.randn(64, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = (images[:, 0].mean((1, 2)) > 0).long()
    split = Split(images, labels)
    return Dataset(
        **{"name": "made-up", "seed": 0, "num_classes": 2, "resolution": 4, "num_train": 64},
        **{"make_train": lambda epoch: split, "make_validation": lambda: split, "make_test": lambda: split},
    )


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 2))


def per_group(weight, group):
    return (weight.view(len(weight), -1, group) != 0).sum(2)


@pytest.mark.parametrize(("sparsity", "kept", "group"), [("2:4", 2, 4), ("1:4", 1, 4), ("3:8", 3, 8)])
def test_after_training_so_many_of_each_group_stay_and_the_network_still_learns(sparsity, kept, group):
    trained = train_model(network(), made_up(), dataclasses.replace(RECIPE, sparsity=sparsity), 0)
    for layer in (trained[1], trained[3]):
        assert type(layer) is nn.Linear and int(per_group(layer.weight, group).max()) == kept
    split = made_up().test()
    assert (trained(split.images).argmax(1) == split.labels).float().mean() > 0.9


def test_the_combination_that_is_left_is_not_just_the_largest_weights():
    model = network()
    before = model[1].weight.detach().clone()
    trained = train_model(model, made_up(), dataclasses.replace(RECIPE, sparsity="2:4"), 0)
    largest = before.abs().view(16, 12, 4).topk(2, dim=2).indices.sort(dim=2).values
    stayed = trained[1].weight.detach().view(16, 12, 4)
    assert not torch.equal(stayed.abs().topk(2, dim=2).indices.sort(dim=2).values, largest)


@given(st.floats(0, 1), st.floats(0, 1))
def test_combinations_only_ever_leave_and_one_stays(first, second):
    part = Combinations(torch.randn(2, 8), 2, 4)
    left = []
    for share in sorted((first, second)):
        part.narrow(share)
        left.append(part.left)
    assert 6 >= left[0] >= left[1] >= 1
    part.narrow(0.5)
    assert part.left == 1


def test_with_all_combinations_left_the_weight_is_as_it_was():
    weight = torch.randn(4, 8)
    assert torch.equal(Combinations(weight, 2, 4)(weight), weight)


def test_rows_that_are_no_whole_groups_stay_dense_and_without_sparsity_nothing_changes():
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(8, 4))
    assert sparsify(model, "") == [] and len(sparsify(model, "2:4")) == 1
    assert all(type(layer) is nn.Linear for layer in settle(model))


@pytest.mark.parametrize("text", ["2", "4:4", "0:4", "a:b", "2:32"])
def test_what_is_no_sparsity_is_refused(text):
    with pytest.raises(NasError, match=r"is no sparsity.*sparsity=2:4"):
        Recipe(sparsity=text)
