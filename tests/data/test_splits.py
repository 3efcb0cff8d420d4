from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nas.data.splits import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    LazySplit,
    Split,
    batches,
    crop_and_flip,
    crop_at_random,
    crop_centre,
    cut,
    hold_out,
    hold_out_tenth,
    normalise,
)
from nas.errors import NasError


def numbered_split(num_samples: int) -> Split:
    numbers = torch.arange(num_samples)
    return Split(numbers.float()[:, None, None, None].expand(-1, 3, 2, 2), numbers)


def open_numbered(index: int) -> tuple[Image.Image, int]:
    return Image.new("RGB", (6, 4), (index, 2 * index, 255)), index


@given(
    num_samples=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    drop_last=st.booleans(),
    seed=st.none() | st.integers(0, 9),
    numpy_rng=st.booleans(),
)
def test_batches_give_every_sample_once_with_its_own_label(num_samples, batch_size, drop_last, seed, numpy_rng):
    rng = None
    if seed is not None:
        rng = np.random.default_rng(seed) if numpy_rng else torch.Generator().manual_seed(seed)
    given_batches = list(batches(numbered_split(num_samples), batch_size, rng, drop_last))
    sizes = [len(labels) for _, labels in given_batches]
    seen = [int(label) for _, labels in given_batches for label in labels]
    assert len(set(seen)) == len(seen)
    assert len(seen) == (num_samples // batch_size * batch_size if drop_last else num_samples)
    assert set(sizes[:-1]) <= {batch_size}
    for images, labels in given_batches:
        assert images.shape == (len(labels), 3, 2, 2)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(images[:, 2, 1, 0], labels.float())


def test_batches_without_rng_keep_the_order_and_with_one_seed_repeat_it():
    split = numbered_split(20)

    def order(rng):
        return torch.cat([labels for _, labels in batches(split, 6, rng)]).tolist()

    assert order(None) == list(range(20))
    assert order(np.random.default_rng(1)) == order(np.random.default_rng(1)) != order(np.random.default_rng(2))
    assert order(torch.Generator().manual_seed(1)) == order(torch.Generator().manual_seed(1)) != list(range(20))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_of_a_lazy_split_are_its_items_in_the_order_asked_for(num_workers):
    split = LazySplit(open_numbered, np.array([5, 3, 9]), resolution=4)
    (first, first_labels), (second, second_labels) = batches(split, 2, num_workers=num_workers)
    assert first_labels.tolist() + second_labels.tolist() == [5, 3, 9]
    assert first.is_contiguous(memory_format=torch.channels_last) and first.shape == (2, 3, 4, 4)
    expected = (np.array([9, 18, 255]) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(second[0, :, 2, 2], expected, rtol=1e-5)


def test_an_augmented_lazy_split_repeats_itself_and_differs_between_epochs():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))

    def read(epoch: int) -> torch.Tensor:
        split = LazySplit(lambda _: (noise, 0), np.arange(4), resolution=8, augmentation=(0, epoch))
        return torch.stack([split[i][0] for i in range(4)])

    assert torch.equal(read(1), read(1))
    assert not torch.equal(read(1), read(2))
    assert not torch.equal(read(1)[0], read(1)[1])


@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=120), share=st.floats(0.01, 0.99))
def test_hold_out_splits_everything_and_every_class_in_proportion(labels, share):
    labels = np.array(labels)
    num_held_out = min(max(1, round(share * len(labels))), len(labels) - 1)
    kept, held_out = hold_out(labels, num_held_out)
    assert len(held_out) == num_held_out
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    for count, held in zip(np.bincount(labels), np.bincount(labels[held_out], minlength=5), strict=False):
        assert abs(held - count * num_held_out / len(labels)) <= 1


def test_a_single_training_image_cannot_be_split():
    with pytest.raises(NasError, match="1 training images"):
        hold_out_tenth(np.zeros(1, dtype=int), "the folder")
    kept, held_out = hold_out_tenth(np.zeros(2, dtype=int), "the folder")
    assert len(kept) == len(held_out) == 1


def test_normalise_follows_its_formula_per_channel():
    pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    result = normalise(pixels, (0.0, 0.1, 0.5), (1.0, 0.2, 0.25))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result[0, :, 0, 0], torch.tensor([0.0, 0.5, 2.0]))


@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_only_shifts_within_the_margin_and_mirrors(flip):
    image = torch.arange(1, 16).reshape(1, 3, 5, 1)
    padded = torch.nn.functional.pad(image, (0, 0, 2, 2, 2, 2))[0]
    crops = {(top, left): padded[top : top + 3, left : left + 5] for top in range(5) for left in range(5)}
    known = {tuple(crop.flatten().tolist()): (*place, False) for place, crop in crops.items()}
    if flip:
        known |= {tuple(crop.flip(1).flatten().tolist()): (*place, True) for place, crop in crops.items()}
    results = crop_and_flip(image.expand(600, -1, -1, -1), np.random.default_rng(0), margin=2, flip=flip)
    assert {known[tuple(result.flatten().tolist())] for result in results} == set(known.values())


def test_the_centre_crop_is_the_middle_square():
    image = Image.new("RGB", (12, 4), (255, 0, 0))
    image.paste((0, 255, 0), (4, 0, 8, 4))
    assert (crop_centre(image, 4) == [0, 255, 0]).all()
    assert crop_centre(image, 9).shape == (9, 9, 3)


@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 99))
def test_random_crops_of_any_image_have_the_resolution(width, height, seed):
    pixels = crop_at_random(Image.new("RGB", (width, height), (7, 8, 9)), 6, np.random.default_rng(seed))
    assert pixels.shape == (6, 6, 3) and (pixels == [7, 8, 9]).all()


@given(num_samples=st.integers(1, 60), shares=st.sampled_from([(1.0,), (0.5, 1.0), (0.1, 0.25, 0.5, 1.0)]))
def test_the_parts_of_a_split_hold_every_image_once_and_are_always_the_same(num_samples, shares):
    split = numbered_split(num_samples)
    lazy = LazySplit(open_numbered, np.arange(num_samples), 4)
    parts, again, opened = cut(split, shares), cut(split, shares), cut(lazy, shares)
    assert sorted(int(label) for part in parts for label in part.labels) == list(range(num_samples))
    for part, same, lazy_part, share in zip(parts, again, opened, shares, strict=True):
        assert torch.equal(part.labels, same.labels)
        assert lazy_part.indices.tolist() == part.labels.tolist() == part.images[:, 0, 0, 0].int().tolist()
        assert len(part) <= max(1, share * num_samples + 1)
    assert len(parts[0]) >= 1


def test_the_parts_of_a_sorted_split_are_random():
    first = cut(numbered_split(1000), (0.1, 1.0))[0]
    assert 400 < first.labels.float().mean() < 600
