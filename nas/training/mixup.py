"""Batches whose images are mixtures of two, with labels to match: Mixup and CutMix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from nas.nn.global_rng import seeded


def mixed(
    images: Tensor, labels: Tensor, num_classes: int, mixup: float, cutmix: float, seed: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Mix a batch [b, 3, h, w] with these alphas; labels [b] become probabilities [b, classes].

    Where both alphas are 0, nothing changes. A function of `seed`, so that a resumed training mixes alike.
    """
    from torchvision.transforms import v2

    kinds = ((mixup, v2.MixUp), (cutmix, v2.CutMix))
    chosen = [(alpha, mix) for alpha, mix in kinds if alpha > 0]
    if not chosen:
        return images, labels
    rng = np.random.default_rng([*seed, 9])
    alpha, mix = chosen[int(rng.integers(len(chosen)))]
    with seeded(int(rng.integers(2**31))):  # torchvision draws from torch's generator
        return mix(alpha=alpha, num_classes=num_classes)(images, labels)
