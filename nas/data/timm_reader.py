"""Everything that `timm.data.create_dataset` reads: `torch/...`, `hfds/...`, `tfds/...`, `wds/...` and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nas.data.image_folder import DAMAGED, check_classes, open_picture, split_resolution
from nas.data.splits import Dataset, LazySplit, hold_out_tenth
from nas.errors import NasError

READERS = ("torch/", "hfds/", "hfids/", "tfds/", "wds/")
FOLDER_READERS = ("torch/folder", "torch/image_folder")
# The official test labels of these are secret: their validation split is the test here, and ours is part of training.
TEST_SPLIT = {"torch/imagenet": "validation", "torch/places365": "validation"}
MAX_STREAM_BYTES = 2 * 2**30  # decoded images of one split of a stream that are held in memory


def load_timm(name: str, root: Path, seed: int) -> Dataset:
    """Read `timm:NAME` or `timm:NAME@SIZE` through timm, from `root`, without asking for a download.

    NAME is a reader and its data set (`torch/cifar10`, `tfds/...`), or a folder in `root` holding `train` and `test`.
    A fixed tenth of the training images is always held out for validation: readers disagree about what else a
    validation split is, and some return the test images. Streams are read into memory; `NasError` if too large.
    """
    location, resolution = split_resolution(name.removeprefix("timm:"))
    train = create(location, root, "train")
    test = create(location, root, TEST_SPLIT.get(location, "test"))
    classes = class_names(train, location)
    check_classes(classes, class_names(test, location), f"the test split of {location}")
    open_train, num_train = open_samples(train, location, resolution)
    open_test, num_test = open_samples(test, location, resolution)
    kept, held_out = hold_out_tenth(np.zeros(num_train, dtype=np.int64), location)
    return Dataset(
        name=name,
        seed=seed,
        num_classes=len(classes),
        resolution=resolution,
        num_train=len(kept),
        make_train=lambda epoch: LazySplit(open_train, kept, resolution, (seed, epoch)),
        make_validation=lambda: LazySplit(open_train, held_out, resolution),
        make_test=lambda: LazySplit(open_test, np.arange(num_test), resolution),
        classes=tuple(classes),
    )


def create(location: str, root: Path, split: str) -> Any:
    """Let timm open one split; `NasError` with its reason where it cannot."""
    from timm.data import create_dataset

    is_folder = not location.startswith(READERS)
    if is_folder:
        root, location = root / location, ""
    if (is_folder or location in FOLDER_READERS) and not (root / split).is_dir():
        # timm itself would read all that lies in `root`, whatever the split.
        remedy = f"Put CLASS/*.jpg there, or name a reader: {', '.join(f'timm:{reader}NAME' for reader in READERS)}"
        raise NasError(f"there is no folder '{root / split}'", remedy)
    try:
        return create_dataset(location, root=str(root), split=split, download=False)
    except (ImportError, RuntimeError, AssertionError, OSError, ValueError) as error:
        remedy = "Put its files there, or let NAS_DATA name their folder; install the package if one is missing"
        raise NasError(f"timm cannot open {location or 'images'} ({split}) in '{root}': {error}", remedy) from error


def class_names(source: Any, location: str) -> list[str]:
    """Return the names of the classes in the order of their labels; `NasError` for a source that has none."""
    from timm.data import ImageDataset, IterableImageDataset

    if isinstance(source, (ImageDataset, IterableImageDataset)):
        named = getattr(source.reader, "class_to_idx", {})
        names = sorted(named, key=named.__getitem__)
    else:
        names = list(getattr(source, "classes", ()))
    if not names:
        raise NasError(f"{location} does not name its classes", "Save its images as folders and use imagefolder:PATH")
    return names


def open_samples(source: Any, location: str, resolution: int) -> tuple[Callable[[int], tuple[Image.Image, int]], int]:
    """Return the function that opens sample i of a source, and the number of samples."""
    from timm.data import ImageDataset, IterableImageDataset

    if isinstance(source, IterableImageDataset):
        stored = read_stream(source, location, resolution)
        return partial(open_stored, stored), len(stored)
    if isinstance(source, ImageDataset):
        return partial(open_by_reader, source), len(source)
    return partial(open_by_torchvision, source), len(source)


def read_stream(source: Any, location: str, resolution: int) -> list[tuple[Image.Image, int]]:
    """Read a stream once into memory, no image larger than is needed; `NasError` above 2 GiB."""
    if len(source) * 3 * resolution**2 > MAX_STREAM_BYTES:
        remedy = "Save its images as folders and use imagefolder:PATH, or ask for a smaller size, as in NAME@64"
        raise NasError(
            f"{location} is a stream of {len(source)} images, too many to hold at {resolution} pixels", remedy
        )
    return [(shrink(image.convert("RGB"), resolution), int(label)) for image, label in source]


def shrink(image: Image.Image, resolution: int) -> Image.Image:
    """Resize an image so that its shorter side is `resolution`; a smaller one stays as it is."""
    factor = resolution / min(image.size)
    if factor >= 1:
        return image
    width, height = image.size
    return image.resize((round(width * factor), round(height * factor)), Image.Resampling.BILINEAR)


def open_stored(stored: Sequence[tuple[Image.Image, int]], index: int) -> tuple[Image.Image, int]:
    """Return image `index` of a list of (image, label) pairs."""
    return stored[index]


def open_by_reader(source: Any, index: int) -> tuple[Image.Image, int]:
    """Open sample `index` by timm's reader: its data set class would replace a broken image by another one."""
    file, label = source.reader[index]
    with file:
        return open_picture(file, source.filename(index, absolute=True)), int(label)


def open_by_torchvision(source: Any, index: int) -> tuple[Image.Image, int]:
    """Open sample `index` of a torchvision data set; `NasError` if it is broken."""
    try:
        image, label = source[index]
    except DAMAGED as error:
        raise NasError(
            f"cannot read image {index} in '{source.root}': {error}", "Replace or remove this file"
        ) from error
    return image.convert("RGB"), int(label)
