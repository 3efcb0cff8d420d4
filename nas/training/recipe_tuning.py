"""What of a recipe is tuned: rate, decay, augmentation and epochs, around the recipe that it begins with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nas.files import JsonObject
from nas.training.network import Recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

RATE_RANGE = (0.2, 3.0)  # of the recipe's own learning rate
DECAY_RANGE = (1e-3, 0.3)
AUGMENTATIONS = {"smoothing": 0.1, "mixup": 0.2, "cutmix": 1.0}  # each is tried with this value, and without


def tuned_settings(base: Recipe) -> dict[str, BaseDistribution]:
    """Return the range of each setting that is tuned; no trial trains longer than `base` does.

    Augmentations are taken or left: what helps a long training harms a short one.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    low, high = (base.learning_rate * share for share in RATE_RANGE)
    return {
        "learning_rate": FloatDistribution(low, high, log=True),
        "weight_decay": FloatDistribution(*DECAY_RANGE, log=True),
        **{
            name: CategoricalDistribution(sorted({0.0, value, getattr(base, name)}))
            for name, value in AUGMENTATIONS.items()
        },
        "epochs": IntDistribution(max(1, base.epochs // 2), base.epochs),
    }


def first_trial(base: Recipe) -> JsonObject:
    """Return `base` itself as a trial, within the ranges: what is tuned is never worse, where it is judged."""
    low, high = DECAY_RANGE
    values = {name: getattr(base, name) for name in tuned_settings(base)}
    return {**values, "weight_decay": min(max(base.weight_decay, low), high)}


def recipe_of(base: Recipe, trial: JsonObject) -> Recipe:
    """Return the recipe of a trial."""
    return replace(base, **trial)
