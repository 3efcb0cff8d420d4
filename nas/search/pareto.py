"""Fronts and what they are worth. Costs are float [n, objectives], every objective minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def non_dominated(costs: np.ndarray) -> np.ndarray:
    """Mark the rows that no other row dominates, bool [n].

    A row dominates another when it is nowhere larger and somewhere smaller, so rows of equal cost keep each other.
    Raises ValueError on NaN, which compares with nothing.
    """
    from moocore import is_nondominated

    return np.asarray(is_nondominated(checked(costs), keep_weakly=True), dtype=bool)


def hypervolume(costs: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Volume that the rows dominate below `reference` [objectives]; rows beyond it add nothing.

    The unit is the product of the objectives' units. Raises ValueError on NaN.
    """
    import moocore

    return float(moocore.hypervolume(checked(costs), ref=np.asarray(reference, dtype=float)))


def knee(costs: np.ndarray) -> int:
    """Index of the point of a front that lies farthest below the chord of its extremes.

    Each objective is scaled to [0, 1] over the front, so that the chord of two objectives runs from (0, 1) to (1, 0)
    and a point lies the farther below it the smaller its sum; more objectives take the plane of sum 1 as their chord.
    A front that bulges away from the ideal has its knee in an extreme; of equals the first is taken.
    After Das 1999, "On characterizing the knee of the Pareto curve".
    """
    checked(costs)
    low, high = costs.min(axis=0), costs.max(axis=0)
    scaled = (costs - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmin(scaled.sum(axis=1)))


def checked(costs: np.ndarray) -> np.ndarray:
    """Return costs as float [n, objectives]; ValueError on another shape or NaN."""
    costs = np.asarray(costs, dtype=float)
    if costs.ndim != 2 or np.isnan(costs).any():
        raise ValueError(f"costs must be [n, objectives] without NaN, not of shape {costs.shape} or with NaN")
    return costs
