"""The three splits of a data set, held in memory or read from files, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from nas.errors import NasError

# The first number of every seed, so that no two uses of one seed share random numbers.
TRAIN, VALIDATION, TEST, CALIBRATION, HOLD_OUT, CUT = range(6)

EVERY = slice(None)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Split:
    """Images held in memory, normalised: float32 [n, 3, h, w]; labels: int64 [n].

    Grey images are an expanded view of one stored channel, so they take a third of what their shape says.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class LazySplit:
    """Images that are opened when a batch needs them; item i is (float32 [3, r, r], label).

    `open_image(k)` returns sample k of the source as (RGB image, label); `indices` are the samples of the split.
    With `augmentation` (seed, epoch) every image is cropped and flipped at random, the same way on every reading.
    """

    open_image: Callable[[int], tuple[Image, int]]
    indices: np.ndarray
    resolution: int
    augmentation: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        image, label = self.open_image(int(self.indices[position]))
        if self.augmentation is None:
            pixels = crop_centre(image, self.resolution)
        else:
            pixels = crop_at_random(
                image, self.resolution, np.random.default_rng([TRAIN, *self.augmentation, position])
            )
        return normalise(torch.from_numpy(pixels), IMAGENET_MEAN, IMAGENET_STD), label


AnySplit = Split | LazySplit


@dataclass(frozen=True, slots=True)
class Dataset:
    """A classification task: fresh training samples per epoch, and two fixed splits.

    Search and every other decision reads `validation()`. A figure that is reported as final is measured on `test()`,
    once. Every call makes the split again: keep what it returns. Images are normalised: channel values in [0, 1], less
    `mean`, over `std`.
    """

    name: str
    seed: int
    num_classes: int
    resolution: int
    num_train: int  # training samples of an epoch
    make_train: Callable[[int], AnySplit]
    make_validation: Callable[[], AnySplit]
    make_test: Callable[[], AnySplit]
    classes: tuple[str, ...] = ()  # names, in the order of the labels; empty where there are only labels
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def train(self, epoch: int) -> AnySplit:
        """Make the training samples of one epoch, a function of (seed, epoch) alone."""
        return self.make_train(epoch)

    def validation(self) -> AnySplit:
        """Make the fixed split that every decision is taken on; it does not depend on the seed."""
        return self.make_validation()

    def test(self) -> AnySplit:
        """Make the fixed split for final figures only; never choose anything by it."""
        return self.make_test()

    def calibration(self, num_samples: int = 512) -> Tensor:
        """Take the same training images [n, 3, h, w] every time (of epoch 0), for BatchNorm statistics.

        n is `num_samples`, or all there are.
        """
        rng = np.random.default_rng([CALIBRATION, self.seed])
        images, _ = next(batches(self.train(0), num_samples, rng))
        return images


def batches(
    split: AnySplit,
    batch_size: int,
    rng: torch.Generator | np.random.Generator | None = None,
    drop_last: bool = False,
    num_workers: int = 0,
    share: slice = EVERY,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (images [b, 3, h, w] contiguous in channels_last, labels [b]) once over the split.

    `rng` shuffles; without it the order is the split's own. `num_workers` processes read a `LazySplit` (0: this one).
    Of every batch only a `share` is read and yielded.
    """
    if rng is None:
        order = torch.arange(len(split))
    elif isinstance(rng, torch.Generator):
        order = torch.randperm(len(split), generator=rng)
    else:
        order = torch.from_numpy(rng.permutation(len(split)))
    parts = [part[share] for part in order.split(batch_size) if len(part) == batch_size or not drop_last]
    if isinstance(split, LazySplit):
        # DataLoader asks for no more than __len__ and __getitem__, but is typed for its own Dataset class.
        source = cast("TorchDataset[tuple[Tensor, int]]", split)
        loader = DataLoader(source, batch_sampler=[part.tolist() for part in parts], num_workers=num_workers)
        for images, labels in loader:
            yield images.contiguous(memory_format=torch.channels_last), labels
        return
    for part in parts:
        chosen = part.to(split.labels.device)
        yield split.images[chosen].contiguous(memory_format=torch.channels_last), split.labels[chosen]


def cut(split: AnySplit, shares: Sequence[float]) -> list[AnySplit]:
    """Cut a split into parts that end at rising `shares` of it, the last at 1; the parts are always the same.

    Parts are random, so that each represents the whole. The first holds at least one image.
    """
    order = np.random.default_rng([CUT]).permutation(len(split))
    ends = [max(1, round(share * len(split))) for share in shares]
    return [take(split, order[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def take(split: AnySplit, positions: np.ndarray) -> AnySplit:
    """Take the images at `positions` [k] of a split, in that order."""
    if isinstance(split, LazySplit):
        return replace(split, indices=split.indices[positions])
    chosen = torch.from_numpy(positions).to(split.labels.device)
    return Split(split.images[chosen], split.labels[chosen])


def hold_out(labels: np.ndarray, num_held_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Split 0..n-1 into (kept, held out) by one fixed permutation; every class gives its share. Both are sorted."""
    assert 0 < num_held_out < len(labels)
    shuffled = np.random.default_rng([HOLD_OUT]).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    positions = (2 * np.arange(num_held_out) + 1) * len(labels) // (2 * num_held_out)
    return np.sort(np.delete(by_class, positions)), np.sort(by_class[positions])


def hold_out_tenth(labels: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a tenth of a source's training images for validation; `NasError` if it has fewer than two."""
    if len(labels) < 2:
        hint = "Give it two at least: one in ten becomes validation"
        raise NasError(f"{source} has {len(labels)} training images, too few to hold some out", hint)
    return hold_out(labels, max(1, round(len(labels) / 10)))


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Turn uint8 [..., h, w, c] into float32 [..., c, h, w] with about zero mean and unit deviation per channel."""
    shift, scale = torch.tensor(mean) * 255, torch.tensor(std) * 255
    return ((pixels - shift) / scale).movedim(-1, -3)


def crop_and_flip(images: Tensor, rng: np.random.Generator, margin: int, flip: bool) -> Tensor:
    """Shift every image [n, h, w, c] by up to `margin` pixels (zeros come in) and mirror half of them where `flip`."""
    num_images, height, width, _ = images.shape
    padded = functional.pad(images, (0, 0, margin, margin, margin, margin))
    tops, lefts = torch.from_numpy(rng.integers(0, 2 * margin, size=(2, num_images, 1), endpoint=True))
    rows, columns = tops + torch.arange(height), torch.arange(width).expand(num_images, width)
    if flip:
        mirrored = torch.from_numpy(rng.random((num_images, 1)) < 0.5)
        columns = torch.where(mirrored, width - 1 - columns, columns)
    return padded[torch.arange(num_images)[:, None, None], rows[:, :, None], (lefts + columns)[:, None, :]]


def crop_centre(image: Image, resolution: int) -> np.ndarray:
    """Take the largest centred square, resized: uint8 [r, r, 3]."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return resize_box(image, (left, top, left + side, top + side), resolution)


def crop_at_random(image: Image, resolution: int, rng: np.random.Generator) -> np.ndarray:
    """Take a box of 25-100 % of the area, aspect 3:4 to 4:3, resized, mirrored half of the time: uint8 [r, r, 3]."""
    width, height = image.size
    area, log_aspect = rng.uniform(0.25, 1.0) * width * height, rng.uniform(-1, 1) * np.log(4 / 3)
    box_width = min(width, np.sqrt(area * np.exp(log_aspect)))
    box_height = min(height, np.sqrt(area / np.exp(log_aspect)))
    left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    pixels = resize_box(image, (left, top, left + box_width, top + box_height), resolution)
    return pixels[:, ::-1].copy() if rng.random() < 0.5 else pixels


def resize_box(image: Image, box: tuple[float, float, float, float], resolution: int) -> np.ndarray:
    """Resize the part of the image inside `box` (left, top, right, bottom) to a square: uint8 [r, r, 3]."""
    from PIL.Image import Resampling

    return np.array(image.resize((resolution, resolution), Resampling.BILINEAR, box=box))


def pixels_of(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Turn a normalised image [3, h, w] back into pixels, uint8 [h, w, 3]."""
    centre, scale = (torch.tensor(channels).view(3, 1, 1) for channels in (mean, std))
    return ((image * scale + centre).clamp(0, 1) * 255).round().byte().movedim(0, -1).contiguous().numpy()
