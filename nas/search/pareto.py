"""Fronts and what they are worth. Costs are float [n, objectives], every objective minimised."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from nas.statistics import checked, non_dominated


def dominate(rivals: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Mark the rivals [k, objectives] nowhere larger than costs [objectives] and somewhere smaller, bool [k]."""
    return np.logical_and((rivals <= costs).all(axis=1), (rivals < costs).any(axis=1))


def hypervolume(costs: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """Return the volume that the rows dominate below `reference` [objectives]; rows beyond it add nothing.

    The unit is the product of the objectives' units. Raises ValueError on NaN.
    """
    import moocore

    return float(moocore.hypervolume(checked(costs), ref=np.asarray(reference, dtype=float)))


def greedy_gains(
    views: np.ndarray, weights: Sequence[float], front: np.ndarray, reference: np.ndarray, n: int
) -> list[int]:
    """Pick up to n candidates, one after the other, each the one that adds most hypervolume to all before it.

    `views` [views, k, objectives] are what the costs of the k candidates may be, and a gain is the weighted sum over
    the views. `front` [f, objectives] is there from the start; candidates that would add nothing are not picked. A gain
    only falls as others are added, so it is measured again only when its former value is the largest (Minoux 1978).
    """
    start = front[non_dominated(front)] if len(front) else front
    members = [start for _ in views]
    volumes = [hypervolume(start, reference)] * len(views)
    least = 1e-12 * abs(volumes[0])
    heap = [(-np.inf, i, -1) for i in range(views.shape[1])]  # minus the gain, candidate, picks when it was measured
    picked: list[int] = []
    while heap and len(picked) < n:
        _, i, measured = heapq.heappop(heap)
        grown = [np.concatenate([front, view[i : i + 1]]) for front, view in zip(members, views, strict=True)]
        if measured == len(picked):
            picked.append(i)
            members = [front[non_dominated(front)] for front in grown]
            volumes = [hypervolume(front, reference) for front in members]
            continue
        pairs = zip(grown, volumes, weights, strict=True)
        gain = sum(weight * (hypervolume(front, reference) - volume) for front, volume, weight in pairs)
        if gain > least:
            heapq.heappush(heap, (-gain, i, len(picked)))
    return picked
