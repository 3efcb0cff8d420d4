"""Whether two judgements order networks alike: rank correlations with intervals that admit how few were compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.statistics import INTERVAL_95, Array, resampled_tau

RESAMPLES = 2000
LEVEL = 0.95
Z_VARIANCE = {"kendall_tau": (0.437, 4), "spearman": (1.06, 3)}  # of Fisher's z: scale, and what n loses


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Rank correlations of n pairs, each with the ends of its 95 % bootstrap interval."""

    kendall_tau: float
    low: float
    high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    n: int


def rank_agreement(first: Sequence[float], second: Sequence[float], seed: int) -> RankAgreement:
    """Compare two judgements of the same n networks: Kendall's tau-b and Spearman's rho.

    The intervals are percentiles over resampled networks (Efron 1979), widened to those of the z transform (Fieller et
    al. 1957) where these are wider: a few networks in the same order look certain to any resampling. The correlation is
    0 where a judgement orders nothing.
    """
    x, y = np.array(first, dtype=float), np.array(second, dtype=float)
    everyone = np.arange(len(x))[None]
    draws = np.random.default_rng(seed).integers(len(x), size=(RESAMPLES, len(x)))
    figures = {}
    for name, correlation in (("kendall_tau", resampled_tau), ("spearman", spearman)):
        value = float(np.nan_to_num(correlation(x, y, everyone))[0])
        resampled = np.nan_to_num(correlation(x, y, draws))
        ends = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = transformed_ends(value, len(x), *Z_VARIANCE[name])
        figures[name] = value, min(float(ends[0]), low), max(float(ends[1]), high)
    return RankAgreement(*figures["kendall_tau"], *figures["spearman"], len(x))


def transformed_ends(value: float, n: int, scale: float, lost: int) -> tuple[float, float]:
    """Return the 95 % interval of a rank correlation of n pairs by Fisher's z, whose variance is `scale / (n - lost)`.

    (-1, 1) where n is too small for any. A perfect order counts as one with half a pair of networks out of it.
    """
    if n <= lost:
        return -1.0, 1.0
    most = 1 - 1 / (n * (n - 1) / 2)
    z, half = np.arctanh(np.clip(value, -most, most)), INTERVAL_95 * (scale / (n - lost)) ** 0.5
    return float(np.tanh(z - half)), min(1.0, max(float(np.tanh(z + half)), value))


def spearman(x: Array, y: Array, draws: NDArray[np.integer[Any]]) -> Array:
    """Return the correlation of the ranks within each draw [r, n]; values that tie share their rank."""
    from scipy.stats import rankdata

    ranks, others = (rankdata(values[draws], axis=1) for values in (x, y))
    ranks, others = (values - values.mean(axis=1, keepdims=True) for values in (ranks, others))
    return ratio((ranks * others).sum(axis=1), np.sqrt((ranks**2).sum(axis=1) * (others**2).sum(axis=1)))


def ratio(part: Array, whole: Array) -> Array:
    """Return part / whole; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
