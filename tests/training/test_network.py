import dataclasses

import pytest
import torch
from torch import nn

from nas.data.splits import Dataset, Split
from nas.errors import NasError
from nas.nn.subnet import build_subnet
from nas.nn.timm_model import Reference, build_reference
from nas.space.search_space import SearchSpace
from nas.training.network import FIRST_EPOCH, GRAIN, Recipe, grown_side, run_at, train_model

RECIPE = Recipe(epochs=3, batch_size=8, ema_share=0.2)


def made_up_split(seed, count=50):
    """Images whose mean tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=generator)
    images = torch.randn(count, 3, 4, 4, generator=generator) + (2 * labels - 1)[:, None, None, None]
    return Split(images, labels)


def made_up_dataset(**splits):
    makers = {
        "make_train": made_up_split,
        "make_validation": lambda: made_up_split(-1),
        "make_test": lambda: pytest.fail("a training asked for the test split"),
    }
    return Dataset(
        name="made-up", seed=0, num_classes=2, resolution=4, num_train=len(made_up_split(0)), **{**makers, **splits}
    )


def small_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


def state_of(model):
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_training_learns_and_gives_a_model_in_eval_mode():
    from nas.evaluation.accuracy import model_accuracy

    dataset = made_up_dataset()
    trained = train_model(small_model(), dataset, dataclasses.replace(RECIPE, epochs=10), seed=0)
    assert not trained.training
    assert model_accuracy(trained, dataset.validation()) > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (state_of(train_model(small_model(), made_up_dataset(), RECIPE, seed)) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)


def test_the_global_random_state_does_not_matter():
    model, twin = small_model(), small_model()
    first = state_of(train_model(model, made_up_dataset(), RECIPE, 0))
    torch.manual_seed(99)
    assert same(first, state_of(train_model(twin, made_up_dataset(), RECIPE, 0)))


def test_every_epoch_draws_fresh_samples_that_no_supernet_has_seen():
    drawn = []

    def draw(epoch):
        drawn.append(epoch)
        return made_up_split(epoch)

    train_model(small_model(), made_up_dataset(make_train=draw), RECIPE, 0)
    assert drawn == [FIRST_EPOCH, FIRST_EPOCH + 1, FIRST_EPOCH + 2]


def test_every_step_is_reported_and_incomplete_batches_are_left_out():
    steps = []
    train_model(small_model(), made_up_dataset(), RECIPE, 0, lambda step, total: steps.append((step, total)))
    assert steps == [(step, 18) for step in range(1, 19)]  # 3 epochs of 50 // 8 batches


def test_the_weights_are_averages_over_the_steps():
    model = small_model()
    trained = train_model(model, made_up_dataset(), dataclasses.replace(RECIPE, ema_share=0.5), 0)
    assert not same(state_of(trained), state_of(model))
    model = small_model()
    assert same(
        state_of(train_model(model, made_up_dataset(), dataclasses.replace(RECIPE, ema_share=0), 0)), state_of(model)
    )


def test_a_loss_that_is_not_finite_ends_the_training_with_a_remedy():
    def broken(epoch):
        split = made_up_split(epoch)
        return Split(split.images * torch.inf, split.labels)

    with pytest.raises(NasError, match=r"diverged.*--set learning_rate"):
        train_model(small_model(), made_up_dataset(make_train=broken), RECIPE, 0)


def test_the_recipe_is_described_by_what_it_does():
    text = Recipe(learning_rate=1e-3, batch_size=32).describe()
    assert all(part in text for part in ("AdamW 0.001", "batch 32", "weight decay 0.02", "EMA over 4% of the steps"))


def test_too_few_images_for_one_batch_are_refused():
    with pytest.raises(NasError, match=r"fewer than a batch of 64.*--set batch_size"):
        train_model(small_model(), made_up_dataset(), Recipe(batch_size=64), 0)


def test_images_grow_to_their_full_size_and_stay_there():
    sides = [grown_side(48, share) for share in (0.0, 0.3, 0.6, 0.99)]
    assert sides == sorted(sides) and sides[0] == 36 and sides[-1] == 48
    assert {side % GRAIN for side in sides} == {0} and grown_side(2, 0.0) == 2


@pytest.mark.parametrize(
    ("make", "sides"),
    [
        (lambda: build_subnet(SearchSpace.load("toy").largest(), 10), [12, 12, 16, 16]),
        (lambda: build_reference(Reference("resnet10t", 32), 10), [24, 28, 32, 32]),
        (lambda: build_reference(Reference("vit_tiny_patch16_224", 32, 8), 10), [32, 32, 32, 32]),
    ],
)
def test_a_network_is_trained_on_smaller_images_at_first(make, sides):
    model, seen = make(), []
    first = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))
    for share in (0.0, 0.2, 0.5, 0.9):
        run_at(model, torch.randn(2, 3, 16, 16), share, 0.5)
    assert seen == sides
