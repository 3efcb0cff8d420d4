"""Data sets by name: built in, from torchvision's files, from image folders, or through timm's readers."""

from __future__ import annotations

import os
from pathlib import Path

from nas.data.cifar import load_cifar
from nas.data.cluttered_digits import load_cluttered_digits, load_digits_upscaled
from nas.data.image_folder import load_image_folder, split_resolution
from nas.data.splits import AnySplit, Dataset, LazySplit, Split, batches
from nas.data.timm_reader import READERS, load_timm
from nas.errors import NasError, did_you_mean

__all__ = ["DATASETS", "AnySplit", "Dataset", "LazySplit", "Split", "batches", "data_root", "load_dataset"]

DATASETS = {
    "cluttered-digits": load_cluttered_digits,
    "digits": load_digits_upscaled,
    "cifar10": lambda seed: load_cifar("cifar10", data_root(), seed),
    "cifar100": lambda seed: load_cifar("cifar100", data_root(), seed),
}
FORMS = ("imagefolder:PATH", "timm:NAME")


def load_dataset(name: str, seed: int = 0) -> Dataset:
    """Load the data set of that name; `seed` decides what training draws, never what validation and test hold.

    A name is a key of `DATASETS`; `imagefolder:PATH`, or just the path of a folder; `timm:NAME`, or just NAME where it
    begins with one of timm's readers (`torch/cifar10`, `tfds/...`). PATH and NAME may end in `@64`, the size in pixels.
    `NasError` where there is no such data set, or where its files are missing or broken.
    """
    if name in DATASETS:
        return DATASETS[name](seed)
    if name.startswith(("timm:", *READERS)):
        return load_timm(name, data_root(), seed)
    if name.startswith("imagefolder:") or Path(split_resolution(name)[0]).is_dir():
        return load_image_folder(name, seed)
    raise NasError(f"unknown data set '{name}'", did_you_mean(name, [*DATASETS, *FORMS]))


def data_root() -> Path:
    """Return the folder that data sets are read from: the value of NAS_DATA, or `data` in the working folder."""
    return Path(os.environ.get("NAS_DATA", "data"))
