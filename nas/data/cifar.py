"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), read by torchvision from files that are already there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nas.data.splits import TRAIN, Dataset, Split, crop_and_flip, hold_out, normalise
from nas.errors import NasError

NUM_HELD_OUT = 5_000  # training images that become the validation split
CROP_MARGIN = 4  # pixels, the usual augmentation of these data
MEAN = {"cifar10": (0.4914, 0.4822, 0.4465), "cifar100": (0.5071, 0.4865, 0.4409)}
STD = {"cifar10": (0.2470, 0.2435, 0.2616), "cifar100": (0.2673, 0.2564, 0.2762)}


def load_cifar(name: str, root: Path, seed: int) -> Dataset:
    """Read `cifar10` or `cifar100` from the folder `root`; `NasError` where files are missing or damaged.

    45,000 images are for training, cropped and flipped at random in every epoch. The other 5,000 training images are
    the validation split; the official 10,000 are the test split.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    reader = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    try:
        train, test = reader(root, train=True), reader(root, train=False)
    except RuntimeError as error:
        folder = root / reader.base_folder
        remedy = f"Unpack {reader.url} so that '{folder}' exists, or let NAS_DATA name the folder above it"
        raise NasError(f"{name} is missing or damaged in '{root}'", remedy) from error

    pixels, labels = torch.from_numpy(np.array(train.data)), torch.tensor(train.targets)  # n h w c, uint8
    kept, held_out = (torch.from_numpy(indices) for indices in hold_out(labels.numpy(), NUM_HELD_OUT))

    def split(images: Tensor, targets: Tensor) -> Split:
        return Split(normalise(images, MEAN[name], STD[name]), targets)

    def draw(epoch: int) -> Split:
        rng = np.random.default_rng([TRAIN, seed, epoch])
        return split(crop_and_flip(pixels[kept], rng, CROP_MARGIN, flip=True), labels[kept])

    return Dataset(
        name=name,
        seed=seed,
        num_classes=len(train.classes),
        resolution=pixels.shape[1],
        num_train=len(kept),
        make_train=draw,
        make_validation=lambda: split(pixels[held_out], labels[held_out]),
        make_test=lambda: split(torch.from_numpy(np.array(test.data)), torch.tensor(test.targets)),
        classes=tuple(train.classes),
        mean=MEAN[name],
        std=STD[name],
    )
