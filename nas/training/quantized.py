"""Return a trained float network its bits: steps by calibration, then a short training towards its float self."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.data.splits import Dataset
from nas.nn.global_rng import exclusive
from nas.nn.quantizer import initialised
from nas.nn.subnet import Subnet, build_subnet, resize
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.space.operator import TRANSITIONS, operators
from nas.training.network import Recipe, train_model


def has_bits(architecture: Architecture) -> bool:
    """Whether any part of an architecture has integer bits."""
    return architecture != without_bits(architecture)


def bits_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of the training with bits that follows a float training by `recipe`."""
    rate = recipe.learning_rate * recipe.bits_rate
    return replace(recipe, epochs=recipe.bits_epochs, learning_rate=rate, distill=recipe.bits_distill)


def quantize_model(parent: Subnet, architecture: Architecture, num_classes: int, images: Tensor) -> Subnet:
    """Build `architecture` with the weights of its float `parent`, norms not folded, in eval mode.

    Every step has the least squared error (`nas.nn.quantizer.best_steps`), those of activations on `images`
    [n, 3, h, w].
    """
    with exclusive():  # trainings run side by side; the drawn weights are overwritten below
        child = build_subnet(architecture, num_classes).eval()
    placed = operators(architecture, num_classes)
    kept = [layer for layer, op in zip(child.layers, placed, strict=True) if op.kind not in TRANSITIONS]
    for layer, source in zip(kept, parent.layers, strict=True):
        layer.load_state_dict({**layer.state_dict(), **source.state_dict()})
    with torch.no_grad(), initialised(child):
        child.layers(resize(images, child.resolution))
    return child


def tune_quantized(
    parent: nn.Module,
    architecture: Architecture,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    on_step: Callable[[int, int], None] = lambda step, total: None,
) -> nn.Module:
    """Return `architecture` the weights of its trained float `parent` and train it towards the parent's logits.

    Without epochs (`bits_epochs` 0) the steps are calibrated only. Averaged weights, in eval mode.
    """
    assert isinstance(parent, Subnet)
    child = quantize_model(parent.eval(), architecture, dataset.num_classes, dataset.calibration())
    short = bits_recipe(recipe)
    return train_model(child, dataset, short, seed, on_step, teacher=parent) if short.epochs else child
