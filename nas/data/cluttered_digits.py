"""Real handwritten digits, plain or among clutter: the built-in data, made of what ships inside scikit-learn.

The 1,797 digits of 8x8 pixels (Alpaydin & Kaynak 1998, UCI) are split once into disjoint source images, and every
sample of a split is composed of that split's sources only. After cluttered MNIST (Mnih et al. 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nas.data.splits import TEST, TRAIN, VALIDATION, Dataset, Split, crop_and_flip, hold_out

RESOLUTION = 32  # side of the canvas, pixels
NUM_SOURCES = {"train": 1297, "validation": 200, "test": 300}
NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 12_000, 2_000, 4_000
DIGIT_SIDE = (0.40, 0.60)  # of the canvas
DIGIT_GAIN = (0.6, 1.0)
MAX_ROTATION_DEGREES = 17.0
NUM_FRAGMENTS = 4
FRAGMENT_PIXELS = 4  # side of the piece that is cut from an 8x8 source
FRAGMENT_SIDE = (0.14, 0.20)  # of the canvas
FRAGMENT_GAIN = 0.8
NOISE_SD = 0.08
CHUNK = 256  # samples composed at once: their coordinates fit the cache
MAX_SHIFT = 3  # pixels, of plain digits in training

# Mean and deviation of the pixels of training samples, rounded; fixed, so that no split informs another.
CLUTTERED_MEAN, CLUTTERED_STD = 0.09, 0.21
PLAIN_MEAN, PLAIN_STD = 0.29, 0.32
DIGITS = tuple("0123456789")


@dataclass(frozen=True, slots=True)
class DigitSources:
    """Source images of one split: float32 [m, 1, 8, 8] in [0, 1]; labels: int64 [m]."""

    images: Tensor
    labels: Tensor


def source_indices(split: str) -> np.ndarray:
    """Return the positions of a split's sources in scikit-learn's `load_digits()`: fixed, disjoint and stratified."""
    from sklearn.datasets import load_digits

    labels = load_digits().target
    others, test = hold_out(labels, NUM_SOURCES["test"])
    kept, held_out = hold_out(labels[others], NUM_SOURCES["validation"])
    return {"train": others[kept], "validation": others[held_out], "test": test}[split]


def read_sources(split: str) -> DigitSources:
    """Read the source images of `train`, `validation` or `test`."""
    from sklearn.datasets import load_digits

    digits, chosen = load_digits(), source_indices(split)
    images = torch.from_numpy(digits.images[chosen] / 16).float()[:, None]
    return DigitSources(images, torch.from_numpy(digits.target[chosen]).long())


def load_cluttered_digits(seed: int) -> Dataset:
    """Make the task `cluttered-digits`: 12,000 fresh samples per epoch, 2,000 for validation, 4,000 for the test."""
    train = read_sources("train")
    return Dataset(
        name="cluttered-digits",
        seed=seed,
        num_classes=10,
        resolution=RESOLUTION,
        num_train=NUM_TRAIN,
        make_train=lambda epoch: compose(train, NUM_TRAIN, np.random.default_rng([TRAIN, seed, epoch])),
        make_validation=lambda: compose(
            read_sources("validation"), NUM_VALIDATION, np.random.default_rng([VALIDATION])
        ),
        make_test=lambda: compose(read_sources("test"), NUM_TEST, np.random.default_rng([TEST])),
        classes=DIGITS,
        mean=(CLUTTERED_MEAN,) * 3,
        std=(CLUTTERED_STD,) * 3,
    )


def load_digits_upscaled(seed: int) -> Dataset:
    """Make the task `digits`: the plain digits at 32x32, shifted by up to 3 pixels in training."""
    train = read_sources("train")
    return Dataset(
        name="digits",
        seed=seed,
        num_classes=10,
        resolution=RESOLUTION,
        num_train=len(train.labels),
        make_train=lambda epoch: upscale(train, np.random.default_rng([TRAIN, seed, epoch])),
        make_validation=lambda: upscale(read_sources("validation")),
        make_test=lambda: upscale(read_sources("test")),
        classes=DIGITS,
        mean=(PLAIN_MEAN,) * 3,
        std=(PLAIN_STD,) * 3,
    )


def compose(sources: DigitSources, num_samples: int, rng: np.random.Generator) -> Split:
    """Paste one digit per sample among fragments of other digits, the brighter pixel wins; add noise; normalise.

    Every source image is used equally often (within one). Values are not clipped after the noise. NumPy on one thread
    is as fast here as torch's `grid_sample` (0.9 s for 12,000 samples), and stays so on a machine that is busy.
    """
    digits, num_sources = sources.images[:, 0].numpy(), len(sources.labels)
    chosen = rng.permutation(num_samples) % num_sources
    images = rng.standard_normal((num_samples, RESOLUTION, RESOLUTION), dtype=np.float32)
    images *= NOISE_SD
    for start in range(0, num_samples, CHUNK):
        own = chosen[start : start + CHUNK]
        canvas = np.zeros((len(own), RESOLUTION, RESOLUTION), dtype=np.float32)
        gain = rng.uniform(*DIGIT_GAIN, len(own))
        paste(canvas, digits[own], gain, DIGIT_SIDE, MAX_ROTATION_DEGREES, rng)
        for _ in range(NUM_FRAGMENTS):
            others = (own + rng.integers(1, num_sources, len(own))) % num_sources
            fragments, gain = cut_fragments(digits[others], rng), np.full(len(own), FRAGMENT_GAIN)
            paste(canvas, fragments, gain, FRAGMENT_SIDE, 180.0, rng)
        images[start : start + CHUNK] += canvas
    images -= CLUTTERED_MEAN
    images /= CLUTTERED_STD
    return Split(torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1), sources.labels[chosen])


def cut_fragments(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a square of 4x4 pixels at a random place out of every image [n, 8, 8]: [n, 4, 4]."""
    num_images, height, _ = images.shape
    tops, lefts = rng.integers(0, height - FRAGMENT_PIXELS, size=(2, num_images, 1), endpoint=True)
    steps = np.arange(FRAGMENT_PIXELS)
    return images[np.arange(num_images)[:, None, None], (tops + steps)[:, :, None], (lefts + steps)[:, None, :]]


def paste(
    canvas: np.ndarray,
    patches: np.ndarray,
    gains: np.ndarray,
    side: tuple[float, float],
    max_degrees: float,
    rng: np.random.Generator,
) -> None:
    """Draw patch i [p, p], times gain i, on canvas i [32, 32] where it is the brighter of the two.

    Its side is uniform in `side` (of the canvas), its rotation in +-`max_degrees`, its centre wherever all of it fits.
    Only a window around the patch is computed: every pixel is turned back into the patch and interpolated there.
    """
    num_patches, pixels, _ = patches.shape
    sides = rng.uniform(*side, num_patches) * RESOLUTION
    angles = np.deg2rad(rng.uniform(-max_degrees, max_degrees, num_patches))
    cosines, sines = np.cos(angles), np.sin(angles)
    extents = sides * (np.abs(cosines) + np.abs(sines))
    centres = extents / 2 + rng.random((2, num_patches)) * (RESOLUTION - extents)  # y x, in pixels

    widest = np.deg2rad(min(max_degrees, 45.0))
    reach = side[1] * RESOLUTION * (1 + 1 / pixels) * (np.cos(widest) + np.sin(widest))  # it fades out over a pixel
    window = min(RESOLUTION, int(np.ceil(reach)) + 1)
    origins = np.clip(np.rint(centres - window / 2).astype(int), 0, RESOLUTION - window)
    rows, columns = origins[:, :, None] + np.arange(window)

    scales = pixels / sides
    down = ((rows + 0.5 - centres[0][:, None]) * scales[:, None]).astype(np.float32)[:, :, None]
    right = ((columns + 0.5 - centres[1][:, None]) * scales[:, None]).astype(np.float32)[:, None, :]
    cosines, sines = (values.astype(np.float32)[:, None, None] for values in (cosines, sines))
    drawn = interpolate(patches, cosines * down - sines * right, cosines * right + sines * down)
    drawn *= gains.astype(np.float32)[:, None, None]
    target = np.arange(num_patches)[:, None, None], rows[:, :, None], columns[:, None, :]
    canvas[target] = np.maximum(canvas[target], drawn)


def interpolate(patches: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Read patches [n, p, p] bilinearly at offsets [n, h, w] from their centres, in patch pixels; outside is zero."""
    num_patches, pixels, _ = patches.shape
    padded = np.pad(patches, ((0, 0), (1, 2), (1, 2)))
    here, east, south = padded[:, :-1, :-1], padded[:, :-1, 1:], padded[:, 1:, :-1]
    # Between four neighbours the value is a + b x + c y + d x y: the four numbers side by side need one look-up.
    cells = np.stack([here, east - here, south - here, here - east - south + padded[:, 1:, 1:]], axis=-1)
    middle = np.float32((pixels + 1) / 2)
    y, x = np.clip(down + middle, 0, pixels + 1), np.clip(right + middle, 0, pixels + 1)
    row, column = y.astype(np.int32), x.astype(np.int32)
    y -= row
    x -= column
    start = np.arange(num_patches, dtype=np.int32)[:, None, None] * (pixels + 2) ** 2
    cell = cells.reshape(-1, 4)[start + row * (pixels + 2) + column]
    return cell[..., 0] + x * cell[..., 1] + y * (cell[..., 2] + x * cell[..., 3])


def upscale(sources: DigitSources, rng: np.random.Generator | None = None) -> Split:
    """Enlarge every source image to 32x32, shift it where there is an `rng`, and normalise."""
    size = (RESOLUTION, RESOLUTION)
    images = functional.interpolate(sources.images, size, mode="bilinear", align_corners=False)
    if rng is not None:
        images = crop_and_flip(images.movedim(1, -1), rng, MAX_SHIFT, flip=False).movedim(-1, 1)
    return Split(((images - PLAIN_MEAN) / PLAIN_STD).expand(-1, 3, -1, -1), sources.labels)
