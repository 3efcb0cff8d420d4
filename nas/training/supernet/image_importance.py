"""Which images of an epoch are drawn: those more often whose gradients are large (PA&DA, Lu et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.space.architecture import Architecture
from nas.supernet.supernet import Supernet

MOST_IMPORTANCE = 0.5  # share of importance in the chances at the end: the rest is equal for all, so none is lost


@torch.no_grad()
def gradient_norms(
    supernet: Supernet, architecture: Architecture, batches: Iterable[tuple[Tensor, Tensor]]
) -> np.ndarray:
    """Return for each image, in order, the norm of the gradient of its loss by the logits: `|softmax(z) - onehot(y)|`.

    It bounds the norm by the weights, and costs a forward pass (Lu et al. 2023, arXiv 2302.14772). BatchNorm takes the
    statistics of each batch; the supernet's own stay as they are.
    """
    twin = supernet.twin().train()
    norms = []
    for images, labels in batches:
        wrong = torch.softmax(twin(images, architecture), 1) - F.one_hot(labels, twin.space.num_classes)
        norms.append(wrong.norm(dim=1))
    return torch.cat(norms).double().numpy()


def draw_images(norms: np.ndarray, done: float, rng: np.random.Generator) -> np.ndarray:
    """Draw as many positions as there are norms, with replacement: in proportion to them, mixed with equal chances.

    The share of importance grows with what is `done` of the training, in [0, 1]. Losses are not divided by the chances,
    as in the paper: late in the training hard images weigh more.
    """
    share = MOST_IMPORTANCE * done if norms.any() else 0.0
    chances = share * norms / max(norms.sum(), 1e-30) + (1 - share) / len(norms)
    return rng.choice(len(norms), size=len(norms), p=chances / chances.sum())
