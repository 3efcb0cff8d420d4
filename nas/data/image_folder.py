"""Image folders: PATH/train/CLASS/*, PATH/test/CLASS/* and, if there is one, PATH/val/CLASS/*."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from nas.data.splits import Dataset, LazySplit, hold_out_tenth
from nas.errors import NasError

DEFAULT_RESOLUTION = 224
MOST_PIXELS = 50_000_000  # a file of a few bytes may claim to be larger than all memory
# What Pillow raises on damaged files, and on those that would fill memory.
DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)
LAYOUT = "Lay the images out as PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg (PATH/val/CLASS/*.jpg is optional)"


def load_image_folder(name: str, seed: int) -> Dataset:
    """Read `imagefolder:PATH` or `imagefolder:PATH@SIZE` (224 without it); images are opened when they are needed.

    Without PATH/val a fixed tenth of PATH/train is held out for validation. `NasError` where a folder is missing or
    empty, where the splits differ in their classes and, when it is read, where an image is broken.
    """
    location, resolution = split_resolution(name.removeprefix("imagefolder:"))
    folder = Path(location)
    if not folder.is_dir():
        raise NasError(f"there is no image folder '{folder}'", LAYOUT)
    classes, train_samples = list_images(folder / "train")
    labels = np.array([label for _, label in train_samples])
    if (folder / "val").is_dir():
        held_classes, held_samples = list_images(folder / "val")
        check_classes(classes, held_classes, f"'{folder / 'val'}'")
        kept, held_out = np.arange(len(train_samples)), np.arange(len(held_samples))
    else:
        held_samples = train_samples
        kept, held_out = hold_out_tenth(labels, f"'{folder}'")
    test_classes, test_samples = list_images(folder / "test")
    check_classes(classes, test_classes, f"'{folder / 'test'}'")
    return Dataset(
        name=name,
        seed=seed,
        num_classes=len(classes),
        resolution=resolution,
        num_train=len(kept),
        make_train=lambda epoch: LazySplit(partial(open_listed, train_samples), kept, resolution, (seed, epoch)),
        make_validation=lambda: LazySplit(partial(open_listed, held_samples), held_out, resolution),
        make_test=lambda: LazySplit(partial(open_listed, test_samples), np.arange(len(test_samples)), resolution),
        classes=tuple(classes),
    )


def split_resolution(name: str) -> tuple[str, int]:
    """Split `PATH@64` into (`PATH`, 64), with 224 where no size is named; `NasError` for a size of 0."""
    location, mark, size = name.rpartition("@")
    if not mark or not size.isdecimal():
        return name, DEFAULT_RESOLUTION
    if int(size) == 0:
        raise NasError(f"'{name}' asks for images of 0 pixels", f"Write a size in pixels, for example {location}@64")
    return location, int(size)


def list_images(folder: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """List the sorted classes and the (file, label) pairs of a folder of class folders; `NasError` if any is empty."""
    from torchvision.datasets import ImageFolder

    if not folder.is_dir():
        raise NasError(f"there is no folder '{folder}'", LAYOUT)
    try:
        listed = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise NasError(f"no images in '{folder}': {error}", LAYOUT) from error
    return listed.classes, listed.samples


def check_classes(expected: Sequence[str], classes: Sequence[str], where: str) -> None:
    """Raise `NasError`, naming the classes, unless both splits have the same ones."""
    different = sorted(set(expected) ^ set(classes))
    if different:
        names = ", ".join(different[:5]) + (", ..." if len(different) > 5 else "")
        remedy = "Give every split one folder per class, with the same names"
        raise NasError(f"the classes of {where} are not those of the training images; they differ in: {names}", remedy)


def open_listed(samples: Sequence[tuple[str, int]], index: int) -> tuple[Image.Image, int]:
    """Open file `index` of a list of (file, label) pairs."""
    file, label = samples[index]
    return open_picture(file, file), label


def open_picture(file: str | IO[bytes], name: str) -> Image.Image:
    """Decode a whole image as RGB; `NasError` with its name if it is broken."""
    try:
        with Image.open(file) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MOST_PIXELS}")
            return image.convert("RGB")
    except DAMAGED as error:
        raise NasError(f"cannot read the image '{name}': {error}", "Replace or remove this file") from error
