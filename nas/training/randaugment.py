"""RandAugment (Cubuk et al. 2019, arXiv 1909.13719): two random changes of each training image, from torchvision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from nas.data.splits import EVERY, Dataset
from nas.nn.global_rng import exclusive, reseed

CHANGES = 2  # of each image


def augmented(
    batches: Iterable[tuple[Tensor, Tensor]],
    dataset: Dataset,
    magnitude: int,
    seed: Sequence[int],
    share: slice = EVERY,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches (images [b, 3, h, w], labels [b]) with every image changed; as they are where `magnitude` is 0.

    A function of `seed`, the number of the batch and the place of the image in it, of which only a `share` is given.
    """
    if magnitude == 0:
        yield from batches
        return
    from torchvision.transforms import v2

    change = v2.RandAugment(num_ops=CHANGES, magnitude=magnitude)
    mean, std = (torch.tensor(channels).view(3, 1, 1) for channels in (dataset.mean, dataset.std))
    first, step = share.start or 0, share.step or 1
    for number, (images, labels) in enumerate(batches):
        pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        changed = []
        with exclusive():
            for place, image in enumerate(pixels):
                rng = np.random.default_rng([*seed, number, first + step * place, 14])
                reseed(int(rng.integers(2**31)))
                changed.append(change(image))
        made = (torch.stack(changed).to(images.dtype) / 255 - mean) / std
        yield made.contiguous(memory_format=torch.channels_last), labels
