"""Fronts and what they are worth. Costs are float [n, objectives], every objective minimised."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np


def non_dominated(costs: np.ndarray) -> np.ndarray:
    """Mark the rows that no other row dominates, bool [n].

    A row dominates another when it is nowhere larger and somewhere smaller, so rows of equal cost keep each other.
    Raises ValueError on NaN, which compares with nothing.
    """
    from moocore import is_nondominated

    return np.asarray(is_nondominated(checked(costs), keep_weakly=True), dtype=bool)


def dominate(rivals: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Mark the rivals [k, objectives] nowhere larger than costs [objectives] and somewhere smaller, bool [k]."""
    return np.logical_and((rivals <= costs).all(axis=1), (rivals < costs).any(axis=1))


def hypervolume(costs: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Volume that the rows dominate below `reference` [objectives]; rows beyond it add nothing.

    The unit is the product of the objectives' units. Raises ValueError on NaN.
    """
    import moocore

    return float(moocore.hypervolume(checked(costs), ref=np.asarray(reference, dtype=float)))


def greedy_gains(costs: np.ndarray, front: np.ndarray, reference: np.ndarray, n: int) -> list[int]:
    """Pick up to n rows of `costs`, one after the other, each the one that adds most hypervolume to all before it.

    `front` [k, objectives] is there from the start; rows that would add nothing are not picked. A row's gain only falls
    as others are added, so that a row is measured again only when its former gain is the largest left (Minoux 1978).
    """
    members = front[non_dominated(front)] if len(front) else front
    volume = hypervolume(members, reference)
    heap = [(-np.inf, i, -1) for i in range(len(costs))]  # minus the gain, row, number of picks when it was measured
    picked: list[int] = []
    while heap and len(picked) < n:
        gain, i, measured = heapq.heappop(heap)
        if measured == len(picked):
            picked.append(i)
            members = np.concatenate([members, costs[i : i + 1]])
            members = members[non_dominated(members)]
            volume -= gain
            continue
        gain = hypervolume(np.concatenate([members, costs[i : i + 1]]), reference) - volume
        if gain > 1e-12 * abs(volume):
            heapq.heappush(heap, (-gain, i, len(picked)))
    return picked


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
