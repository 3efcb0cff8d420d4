from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.data import cluttered_digits
from nas.data.cluttered_digits import (
    CLUTTERED_MEAN,
    CLUTTERED_STD,
    DIGIT_SIDE,
    FRAGMENT_SIDE,
    DigitSources,
    compose,
    cut_fragments,
    interpolate,
    load_cluttered_digits,
    load_digits_upscaled,
    paste,
    read_sources,
    source_indices,
)


@pytest.fixture
def small_epochs(monkeypatch):
    monkeypatch.setattr(cluttered_digits, "NUM_TRAIN", 300)
    monkeypatch.setattr(cluttered_digits, "NUM_VALIDATION", 200)
    monkeypatch.setattr(cluttered_digits, "NUM_TEST", 200)


def test_the_source_images_of_the_splits_are_disjoint_and_all_are_used():
    parts = [source_indices(split) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1297, 200, 300]
    assert sorted(np.concatenate(parts)) == list(range(1797))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_sources_of_a_split_are_its_digits_in_every_class(split):
    from sklearn.datasets import load_digits

    digits, sources, chosen = load_digits(), read_sources(split), source_indices(split)
    np.testing.assert_allclose(sources.images[:, 0] * 16, digits.images[chosen])
    np.testing.assert_array_equal(sources.labels, digits.target[chosen])
    shares = np.bincount(sources.labels, minlength=10) / len(chosen)
    np.testing.assert_allclose(shares, np.bincount(digits.target) / 1797, atol=0.01)


def test_an_epoch_is_12000_normalised_grey_samples_stored_once():
    split = load_cluttered_digits(seed=0).train(0)
    assert split.images.shape == (12_000, 3, 32, 32) and split.images.dtype == torch.float32
    assert split.labels.dtype == torch.int64
    assert split.images.untyped_storage().nbytes() == 12_000 * 32 * 32 * 4
    assert abs(split.images[:, 0].mean()) < 0.05 and abs(split.images[:, 0].std() - 1) < 0.05
    shares = torch.bincount(split.labels, minlength=10) / len(split)
    assert shares.min() > 0.09 and shares.max() < 0.11


def test_the_fixed_splits_hold_2000_and_4000_samples():
    data = load_cluttered_digits(seed=0)
    assert data.validation().images.shape == (2_000, 3, 32, 32)
    assert data.test().images.shape == (4_000, 3, 32, 32)
    assert (data.num_classes, data.resolution) == (10, 32)


@pytest.mark.parametrize("load", [load_cluttered_digits, load_digits_upscaled])
def test_training_samples_are_a_function_of_seed_and_epoch(small_epochs, load):
    one, same, other_epoch, other_seed = (load(s).train(e).images for s, e in ((1, 2), (1, 2), (1, 3), (2, 2)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other_epoch)
    assert not torch.equal(one, other_seed)


@pytest.mark.parametrize("load", [load_cluttered_digits, load_digits_upscaled])
def test_validation_and_test_do_not_depend_on_the_seed(small_epochs, load):
    one, other = load(0), load(5)
    assert torch.equal(one.validation().images, other.validation().images)
    assert torch.equal(one.test().images, other.test().images)
    assert torch.equal(one.test().labels, other.test().labels)


def test_calibration_images_are_distinct_fixed_samples_of_the_first_epoch(small_epochs):
    data = load_cluttered_digits(seed=3)
    images = data.calibration(40)
    assert torch.equal(images, load_cluttered_digits(seed=3).calibration(40))
    first_epoch = {sample.numpy().tobytes() for sample in data.train(0).images[:, 0].contiguous()}
    taken = {sample.numpy().tobytes() for sample in images[:, 0].contiguous()}
    assert len(taken) == 40 and taken <= first_epoch
    assert len(data.calibration(10_000)) == 300


def test_every_source_image_is_used_equally_often():
    sources = DigitSources(torch.zeros(7, 1, 8, 8), torch.arange(7))
    split = compose(sources, 30, np.random.default_rng(0))
    assert set(torch.bincount(split.labels).tolist()) == {4, 5}


def paste_on_empty(patches: np.ndarray) -> np.ndarray:
    canvas = np.zeros((len(patches), 32, 32), dtype=np.float32)
    paste(canvas, patches, np.ones(len(patches)), DIGIT_SIDE, 17.0, np.random.default_rng(0))
    return canvas


def test_a_pasted_digit_keeps_its_ink_and_lies_within_the_canvas():
    pasted = paste_on_empty(np.ones((400, 8, 8), dtype=np.float32))
    area = pasted.sum((1, 2)) / 32**2  # a digit that is cut off would have less
    assert area.min() > 0.95 * 0.4**2 and area.max() < 1.05 * 0.6**2
    assert area.min() < 0.18 and area.max() > 0.34
    assert pasted.max() <= 1
    centres = (pasted.sum(1) * np.arange(32)).sum(1) / pasted.sum((1, 2))
    assert centres.min() < 9 and centres.max() > 22


def test_a_pasted_digit_is_turned_by_at_most_17_degrees():
    upright = np.zeros((400, 8, 8), dtype=np.float32)
    upright[:, :, 3:5] = 1
    pasted = paste_on_empty(upright)
    steps, mass = np.arange(32), pasted.sum((1, 2))
    y, x = (pasted.sum(2) * steps).sum(1) / mass, (pasted.sum(1) * steps).sum(1) / mass
    dy, dx = steps[None, :, None] - y[:, None, None], steps[None, None, :] - x[:, None, None]
    xx, xy, yy = ((pasted * product).sum((1, 2)) for product in (dx * dx, dx * dy, dy * dy))
    degrees = np.rad2deg(np.arctan2(2 * xy, yy - xx) / 2)
    assert -17.5 < degrees.min() < -15 and 15 < degrees.max() < 17.5


def test_interpolation_agrees_with_grid_sample():
    rng = np.random.default_rng(0)
    patches = rng.random((20, 4, 4), dtype=np.float32)
    down, right = rng.uniform(-3.5, 3.5, (2, 20, 6, 7)).astype(np.float32)
    grid = torch.from_numpy(np.stack([right, down], axis=-1) / 2)
    expected = torch.nn.functional.grid_sample(torch.from_numpy(patches)[:, None], grid, align_corners=False)[:, 0]
    np.testing.assert_allclose(interpolate(patches, down, right), expected, atol=1e-5)


def test_pasting_keeps_the_brighter_pixel():
    canvas = np.full((50, 32, 32), 0.5, dtype=np.float32)
    gains = np.repeat([0.4, 0.9], 25)
    paste(canvas, np.ones((50, 4, 4), dtype=np.float32), gains, FRAGMENT_SIDE, 180.0, np.random.default_rng(0))
    assert (canvas[:25] == 0.5).all()
    assert (canvas[25:] >= 0.5).all() and (canvas[25:].max((1, 2)) > 0.85).all()


def test_fragments_are_squares_of_four_pixels_of_their_image():
    image = np.arange(64).reshape(8, 8)
    known = {tuple(image[y : y + 4, x : x + 4].flatten().tolist()) for y in range(5) for x in range(5)}
    cut = cut_fragments(np.broadcast_to(image, (500, 8, 8)), np.random.default_rng(0))
    assert {tuple(fragment.flatten().tolist()) for fragment in cut} == known


def test_clutter_is_four_small_dim_fragments_of_other_digits_only():
    blank_and_full = DigitSources(torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]), torch.tensor([0, 1]))
    split = compose(blank_and_full, 400, np.random.default_rng(0))
    pixels = split.images[:, 0] * CLUTTERED_STD + CLUTTERED_MEAN
    clutter, digit = pixels[split.labels == 0].mean((1, 2)), pixels[split.labels == 1].mean((1, 2))
    # The blank digit's clutter is cut from the full one: at most four squares of a fifth of the canvas, of gain 0.8.
    assert 0.04 < clutter.mean() < 4 * 0.8 * 0.2**2 and clutter.max() < 4 * 0.8 * 0.2**2 + 0.02
    # The full digit's clutter is cut from the blank one: what is seen is the digit alone, of gain 0.6-1.0.
    assert digit.min() > 0.6 * 0.4**2 - 0.02 and digit.max() < 0.6**2 + 0.02


def test_the_noise_has_its_deviation_and_no_mean():
    split = compose(DigitSources(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])), 100, np.random.default_rng(0))
    pixels = split.images[:, 0] * CLUTTERED_STD + CLUTTERED_MEAN
    assert abs(pixels.mean()) < 1e-3 and abs(pixels.std() - 0.08) < 1e-3


def test_plain_digits_are_the_sources_enlarged():
    data, sources = load_digits_upscaled(seed=0), read_sources("validation")
    split = data.validation()
    assert split.images.shape == (200, 3, 32, 32) and len(data.train(0)) == 1297 and len(data.test()) == 300
    assert torch.equal(split.labels, sources.labels)
    pixels = split.images[:, :1] * cluttered_digits.PLAIN_STD + cluttered_digits.PLAIN_MEAN
    inner = torch.nn.functional.avg_pool2d(pixels, 4)[:, :, 1:-1, 1:-1]  # a blurred copy of the source
    original = sources.images[:, :, 1:-1, 1:-1]
    assert torch.corrcoef(torch.stack([inner.flatten(), original.flatten()]))[0, 1] > 0.95
