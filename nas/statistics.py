"""Statistics that several rooms need: rank correlation, points of a Pareto front, its knee."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def kendall_tau(first: Array, second: Array) -> float:
    """Kendall's tau-b of two rankings [n]; NaN where one of them is constant."""
    pairs = np.triu_indices(len(first), 1)
    x, y = (np.sign(np.subtract.outer(values, values))[pairs] for values in (first, second))
    ties = np.sqrt(float((x**2).sum()) * float((y**2).sum()))
    return float((x * y).sum() / ties) if ties else float("nan")


def pairs_in_order(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, int]:
    """Count the pairs of [n] values that differ when measured, and how many of these were predicted in that order.

    A predicted tie counts half.
    """
    first, second = np.triu_indices(len(measured), k=1)
    differ = measured[first] != measured[second]
    right = np.sign(measured[first] - measured[second]) * np.sign(predicted[first] - predicted[second])
    return float(((1 + right[differ]) / 2).sum()), int(differ.sum())


def non_dominated(costs: np.ndarray) -> np.ndarray:
    """Mark the rows that no other row dominates, bool [n].

    A row dominates another when it is nowhere larger and somewhere smaller, so rows of equal cost keep each other.
    Raises ValueError on NaN, which compares with nothing.
    """
    from moocore import is_nondominated

    return np.asarray(is_nondominated(checked(costs), keep_weakly=True), dtype=bool)


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
