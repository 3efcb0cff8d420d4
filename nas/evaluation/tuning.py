"""What of a recipe is tuned: rate, decay, augmentation and epochs, around the recipe that it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nas.evaluation.finetune import Recipe

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

RATE_RANGE = (0.2, 3.0)  # of the recipe's own learning rate
DECAY_RANGE = (1e-3, 0.3)
MOST_SMOOTHING = 0.2
MOST_MIXUP, MOST_CUTMIX = 0.4, 1.0


def tuned_settings(base: Recipe) -> dict[str, BaseDistribution]:
    """Give the range of each setting that is tuned; no trial trains longer than `base` does."""
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high = (base.learning_rate * share for share in RATE_RANGE)
    return {
        "learning_rate": FloatDistribution(low, high, log=True),
        "weight_decay": FloatDistribution(*DECAY_RANGE, log=True),
        "smoothing": FloatDistribution(0.0, MOST_SMOOTHING),
        "mixup": FloatDistribution(0.0, MOST_MIXUP),
        "cutmix": FloatDistribution(0.0, MOST_CUTMIX),
        "epochs": IntDistribution(max(1, base.epochs // 2), base.epochs),
    }


def first_trial(base: Recipe) -> dict[str, Any]:
    """Give `base` itself as a trial, within the ranges: what is tuned is never worse, where it is judged."""
    ranges = tuned_settings(base)
    values = {name: getattr(base, name) for name in ranges}
    return {name: min(max(value, ranges[name].low), ranges[name].high) for name, value in values.items()}  # type: ignore[attr-defined]


def recipe_of(base: Recipe, trial: Mapping[str, Any]) -> Recipe:
    """Give the recipe of a trial."""
    return replace(base, **trial)
