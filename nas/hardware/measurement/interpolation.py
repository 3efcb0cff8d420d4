"""Interpolation: the rows of a table that were not measured, from those that were.

Each kind of operator has its own Gaussian process over the logarithms of its sizes, with a linear part: time is nearly
a product of powers of the sizes, and what is not (caches, widths that suit the vector units) is smooth or noise. Its
error is that of leaving out each measured row in turn, which a Gaussian process gives in closed form.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.hardware.table.table_file import Row
from nas.space.cost import macs
from nas.space.operator import Operator

Array = NDArray[np.float64]
FEWEST = 20  # rows of a kind that are measured at least, all where it has no more
MAX_ERROR = 0.15  # mean error of a kind beyond which nothing is interpolated
LENGTHS = (0.5, 1.0, 2.0, 4.0)  # length scales tried, in root mean squared distances between rows
NOISES = (1e-5, 1e-4, 1e-3, 1e-2)  # variances tried, relative to that of the smooth part
LINEAR = 10.0  # variance of the slopes: hardly a restriction


def by_kind(operators: Iterable[Operator]) -> dict[str, list[Operator]]:
    """Group operators by kind and bits, in order: float and integer kernels are not alike."""
    groups: dict[str, list[Operator]] = defaultdict(list)
    for operator in operators:
        whole = operator.kind if operator.bits == "fp" else f"{operator.kind} of {operator.bits} bits"
        groups[whole].append(operator)
    return groups


def features(operators: Sequence[Operator]) -> Array:
    """Describe operators of one kind as [n, features]: logarithms of sizes, one column for each value of a word.

    Columns have mean 0 and deviation 1; those that never change are left out.
    """
    columns: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(operators))
    for index, operator in enumerate(operators):
        sizes = {"in": operator.in_channels, "out": operator.out_channels, "grid": operator.grid}
        for name, value in {**sizes, "macs": 1 + macs(operator), **dict(operator.settings)}.items():
            if isinstance(value, int | float):
                columns[name][index] = math.log1p(value)
            elif isinstance(value, tuple):
                columns[f"number of {name}"][index] = math.log1p(len(value))
                for item in value:
                    columns[f"{name} has {item}"][index] = 1.0
            else:
                columns[f"{name} is {value}"][index] = 1.0
    table = np.array(list(columns.values())).T
    spread = table.std(axis=0)
    return (table - table.mean(axis=0))[:, spread > 0] / spread[spread > 0]


def choose_measured(operators: Sequence[Operator], count: int) -> list[Operator]:
    """Choose about `count` operators to measure: a share of every kind, spread over its sizes and words.

    Every kind gets `FEWEST` at least. Within a kind the first is the largest, each next the one farthest from those
    chosen before.
    """
    groups = by_kind(operators)
    free = max(0, count - sum(min(FEWEST, len(group)) for group in groups.values()))
    left = sum(max(0, len(group) - FEWEST) for group in groups.values())
    chosen: set[Operator] = set()
    for group in groups.values():
        quota = min(len(group), FEWEST + math.ceil(free * max(0, len(group) - FEWEST) / max(1, left)))
        chosen |= {group[index] for index in spread_out(features(group), quota, largest(group))}
    return [operator for operator in operators if operator in chosen]


def largest(operators: Sequence[Operator]) -> int:
    """Index of the operator with the most MACs."""
    return max(range(len(operators)), key=lambda index: macs(operators[index]))


def spread_out(points: Array, count: int, first: int) -> list[int]:
    """Choose `count` of `points` [n, features], from `first` on always the one farthest from all chosen."""
    chosen = [first]
    distance = ((points - points[first]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        distance[chosen] = -1.0
    return chosen


@dataclass(frozen=True, slots=True)
class Fit:
    """A kind's logarithms of times: predictions [n] at all its operators, and the error of leaving each row out."""

    log_ms: Array
    leave_one_out: Array  # [measured], predicted minus measured logarithm


def fit(points: Array, measured: NDArray[np.bool_], log_ms: Array) -> Fit:
    """Fit the Gaussian process of one kind, its length and noise by leave-one-out error.

    `points` [n, features] are all operators, `log_ms` [measured] the times of those marked. Leaving one out: Rasmussen
    and Williams, Gaussian Processes for Machine Learning, equation 5.12.
    """
    squared, products = distances(points, points[measured]), points @ points[measured].T
    scale, mean = squared[measured].mean() or 1.0, log_ms.mean()
    linear = LINEAR * (products / max(1, points.shape[1]) + 1.0)
    targets, best = log_ms - mean, (math.inf, 1.0, log_ms, log_ms)
    for length, noise in product(LENGTHS, NOISES):
        kernel = linear[measured] + np.exp(-squared[measured] / (2 * scale * length**2))
        inverse = np.linalg.inv(kernel + noise * np.eye(len(targets)))
        weights = inverse @ targets
        error = -weights / np.diag(inverse)
        best = min(best, (float(np.abs(error).mean()), length, weights, error), key=lambda candidate: candidate[0])
    _, length, weights, error = best
    kernel = linear + np.exp(-squared / (2 * scale * length**2))
    return Fit(mean + kernel @ weights, error)


def distances(first: Array, second: Array) -> Array:
    """Squared distances [n, m] between points [n, features] and [m, features]."""
    lengths = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :]
    return np.maximum(lengths - 2 * first @ second.T, 0.0)


def interpolate(operators: Sequence[Operator], rows: Mapping[str, Row], batch: int) -> tuple[dict[str, Row], dict]:
    """Fill in the rows of `operators` that were not measured; also give the error of each kind, as shares.

    `NasError` where leaving measured rows out shows a mean error above `MAX_ERROR` for a kind.
    """
    filled, errors = dict(rows), {}
    for kind, group in by_kind(operators).items():
        measured = np.array([operator.key in rows for operator in group])
        if measured.all():
            continue
        seen = [rows[operator.key] for operator in group if operator.key in rows]
        fitted = fit(features(group), measured, np.log([row.ms for row in seen]))
        off = np.expm1(fitted.leave_one_out)
        errors[kind] = {"mape": float(np.abs(off).mean()), "rms": float(np.sqrt((off**2).mean())), "n": len(seen)}
        stretch = [float(np.median([getattr(row, name) / row.ms for row in seen])) for name in ("ms_p50", "ms_p95")]
        for operator, known, log_ms in zip(group, measured, fitted.log_ms, strict=True):
            if not known:
                filled[operator.key] = interpolated_row(math.exp(log_ms), stretch, macs(operator) * batch, errors[kind])
    refuse_bad(errors)
    return filled, errors


def interpolated_row(ms: float, stretch: list[float], num_macs: int, error: dict[str, float]) -> Row:
    """Row of an operator that was not measured; its uncertainty is the error of its kind."""
    spread = {"ms_p50": ms * stretch[0], "ms_p95": ms * max(stretch)}
    return Row(
        ms=ms,
        **spread,
        n_samples=0,
        n_rounds=0,
        rel_noise=0.0,
        macs=num_macs,
        provenance="interpolated",
        sigma_rel=error["rms"],
    )


def refuse_bad(errors: Mapping[str, Mapping[str, float]]) -> None:
    """Raise `NasError` where a kind cannot be interpolated well enough."""
    bad = {kind: error["mape"] for kind, error in errors.items() if error["mape"] > MAX_ERROR}
    if bad:
        worst = ", ".join(f"{kind} {error:.0%}" for kind, error in sorted(bad.items()))
        raise NasError(
            f"too few blocks are measured: interpolated rows would be wrong by {worst} (allowed {MAX_ERROR:.0%})",
            "Measure more: the same command with --resume and a greater --sample keeps what is measured",
        )
