"""How far a latency table can be trusted: whole networks, measured, against what the table says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.files import JsonObject
from nas.hardware.measurement.correction import Correction, choose
from nas.statistics import kendall_tau

Array = NDArray[np.float64]
MAX_MAPE, MIN_TAU = 0.10, 0.85  # beyond these a table is marked as not trustworthy


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """A whole network: the sum of its rows, and what it took when measured twice, minutes apart."""

    id: str
    macs: int
    num_operators: int
    sum_ms: float
    measured_ms: float
    rerun_ms: float


def split(count: int, n_fit: int) -> NDArray[np.bool_]:
    """Mark the networks of the fit among `count` ordered by MACs: evenly spread, the first and the last among them."""
    fitted = np.zeros(count, dtype=bool)
    fitted[np.linspace(0, count - 1, min(n_fit, count)).round().astype(int)] = True
    return fitted


def validate(networks: list[MeasuredNetwork], n_fit: int) -> tuple[Correction, JsonObject]:
    """Fit the correction on `n_fit` networks and judge it on the others, beside the noise and the MACs baseline.

    All errors are relative, as shares (0.05 is 5 %); `bias` is positive where the table says too much.
    """
    networks = sorted(networks, key=lambda network: (network.macs, network.id))
    fitted = split(len(networks), n_fit)
    sums, count, measured, rerun, macs = (
        np.array([getattr(network, name) for network in networks], dtype=float)
        for name in ("sum_ms", "num_operators", "measured_ms", "rerun_ms", "macs")
    )
    correction, leave_one_out = choose(sums[fitted], count[fitted], measured[fitted])
    predicted = np.array([correction.apply(*pair) for pair in zip(sums, count, strict=True)])
    held_out = ~fitted
    result: JsonObject = {"n": int(held_out.sum()), "n_fit": int(fitted.sum()), "fit_leave_one_out": leave_one_out}
    result["networks"] = [
        {
            "id": network.id,
            "macs": network.macs,
            "predicted_ms": float(ms),
            "measured_ms": network.measured_ms,
            "split": "fit" if in_fit else "held-out",
        }
        for network, ms, in_fit in zip(networks, predicted, fitted, strict=True)
    ]
    if result["n"] >= 2:
        baseline = affine_baseline(macs[fitted], measured[fitted], macs[held_out])
        noise = prefixed("noise_", agreement(rerun, measured))
        result |= agreement(predicted[held_out], measured[held_out]) | noise
        result |= prefixed("macs_", agreement(baseline, measured[held_out]))
        result |= prefixed("sum_", agreement(sums[held_out], measured[held_out]))
        result["trustworthy"] = is_trustworthy(result)
    return correction, result


def is_trustworthy(validation: JsonObject) -> bool:
    """Whether held-out networks are predicted well enough: an error near the noise, and in the right order."""
    allowed = max(MAX_MAPE, 2 * validation["noise_mape"])
    return bool(validation["mape"] <= allowed and validation["kendall_tau"] >= MIN_TAU)


def affine_baseline(macs: Array, measured_ms: Array, wanted: Array) -> Array:
    """Predict from MACs alone: a + b MACs, fitted on the relative error of the same networks as the correction."""
    design = np.stack([macs, np.ones_like(macs)], axis=1)
    terms = np.linalg.lstsq(design / measured_ms[:, None], np.ones(len(macs)), rcond=None)[0]
    return terms[0] * wanted + terms[1]


def agreement(predicted: Array, measured: Array) -> dict[str, float]:
    """Errors of predictions relative to measurements, and whether they order alike: 0 where one orders nothing."""
    error = predicted / measured - 1
    return {
        "mape": float(np.abs(error).mean()),
        "median_ape": float(np.median(np.abs(error))),
        "p90": float(np.quantile(np.abs(error), 0.9)),
        "max": float(np.abs(error).max()),
        "bias": float(error.mean()),
        "rms": float(np.sqrt((error**2).mean())),
        "within_10": float((np.abs(error) <= 0.1).mean()),
        "kendall_tau": float(np.nan_to_num(kendall_tau(predicted, measured))),
    }


def prefixed(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    """Keep error and order of a comparison, under names of its own."""
    return {f"{prefix}mape": figures["mape"], f"{prefix}tau": figures["kendall_tau"]}
