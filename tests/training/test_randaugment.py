import numpy as np
import pytest
import torch

from nas.data.datasets import load_dataset
from nas.data.splits import batches
from nas.training.network import Recipe, train_model
from nas.training.randaugment import augmented


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", 0)


def drawn(digits, magnitude, seed=0, share=slice(None)):
    parts = batches(digits.train(0), 32, np.random.default_rng(0), drop_last=True, share=share)
    return list(augmented(parts, digits, magnitude, [seed], share))[:3]


def test_images_change_within_the_range_of_pixels_and_labels_do_not(digits):
    plain, changed = drawn(digits, 0), drawn(digits, 9)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (digits.mean, digits.std))
    for (images, labels), (made, same) in zip(plain, changed, strict=True):
        assert torch.equal(labels, same) and made.shape == images.shape and made.dtype == images.dtype
        moved = (made - images).abs().flatten(1).max(1).values > 0.02
        assert 0.5 < moved.float().mean() <= 1
        pixels = made * std + mean
        assert pixels.min() > -1e-5 and pixels.max() < 1 + 1e-5


def test_an_image_changes_by_the_seed_and_its_place_alone(digits):
    one, again, other = drawn(digits, 9), drawn(digits, 9), drawn(digits, 9, seed=1)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for (a, _), (b, _) in zip(one, other, strict=True))
    for share in (slice(0, None, 2), slice(1, None, 2)):
        for (whole, _), (part, _) in zip(one, drawn(digits, 9, share=share), strict=True):
            assert torch.equal(whole[share], part)


def test_the_recipe_of_a_network_may_use_it(digits):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * digits.resolution**2, 10))
    start = {name: each.clone() for name, each in plain.state_dict().items()}
    found = {}
    for magnitude in (0, 9):
        plain.load_state_dict(start)
        recipe = Recipe(epochs=1, batch_size=256, randaugment=magnitude)
        found[magnitude] = train_model(plain, digits, recipe, 0).state_dict()["1.weight"]
    assert found[9].isfinite().all() and not torch.equal(found[0], found[9])
