"""Statistics that several rooms need: rank correlation, points of a Pareto front, distances, normal quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Standard deviations of a normal distribution on either side of its mean.
INTERVAL_90 = 1.64  # hold 90 % of it
INTERVAL_95 = 1.96  # hold 95 % of it


def kendall_tau(first: Array, second: Array) -> float:
    """Return Kendall's tau-b of two rankings [n]; NaN where one of them is constant."""
    return float(resampled_tau(first, second, np.arange(len(first))[None])[0])


def resampled_tau(first: Array, second: Array, draws: NDArray[np.integer[Any]]) -> Array:
    """Return Kendall's tau-b of each draw [r, n] of positions in two rankings [n]; NaN where one is constant in it.

    Tau-b is the number of pairs in order less that of pairs out of order, over the pairs that are no ties.
    """
    times = (draws[:, :, None] == np.arange(len(first))).sum(axis=1).astype(float)  # that each position was drawn
    x, y = (np.sign(np.subtract.outer(values, values)) for values in (first, second))

    def over_pairs(signs: Array) -> Array:
        return np.asarray(((times @ signs) * times).sum(axis=1))

    untied = np.sqrt(over_pairs(x**2) * over_pairs(y**2))
    return np.divide(over_pairs(x * y), untied, out=np.full_like(untied, np.nan), where=untied > 0)


def pairs_in_order(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, int]:
    """Count the pairs of [n] values that differ when measured, and how many of these were predicted in that order.

    A predicted tie counts half.
    """
    first, second = np.triu_indices(len(measured), k=1)
    differ = measured[first] != measured[second]
    in_order = np.sign(measured[first] - measured[second]) * np.sign(predicted[first] - predicted[second])
    return float(((1 + in_order[differ]) / 2).sum()), int(differ.sum())


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distance of every pair of rows, [n, columns] and [k, columns] -> [n, k]."""
    squares = np.einsum("ij,ij->i", first, first)[:, None] + np.einsum("ij,ij->i", second, second)
    return np.maximum(squares - 2 * first @ second.T, 0.0)


def non_dominated(costs: np.ndarray) -> np.ndarray:
    """Mark the rows that no other row dominates, bool [n].

    A row dominates another when it is nowhere larger and somewhere smaller, so rows of equal cost keep each other.
    Raises ValueError on NaN, which compares with nothing.
    """
    from moocore import is_nondominated

    return np.asarray(is_nondominated(checked(costs), keep_weakly=True), dtype=bool)


def knee(costs: np.ndarray) -> int:
    """Return the index of the point of a front that lies farthest below the chord of its extremes.

    Each objective is scaled to [0, 1] over the front, so that the chord of two objectives runs from (0, 1) to (1, 0).
    A point lies the farther below it, the smaller the sum of its scaled costs. More objectives have the plane of sum 1
    as their chord. The knee of a front that bulges away from the ideal is an extreme; of equal points the first counts.
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
