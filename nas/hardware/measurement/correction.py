"""From the sum of measured blocks to the whole network: corrections fitted on whole networks.

A sum is off because a block alone pays for its own call and for tensors in a layout its neighbours would have shared,
and because alone it finds the caches warm. Forms are tried from the simplest; a richer one has to earn its place by
leave-one-out error over the networks of the fit. Networks that judge the table are never looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.files import JsonObject

Array = NDArray[np.float64]
EARNS_ITS_PLACE = 0.7  # leave-one-out error of a richer form over that of a simpler one, at most; 0.8 falls for noise
MIN_FIT = {"scale": 3, "affine": 8, "blocks": 10}  # networks needed to fit a form


@dataclass(frozen=True, slots=True)
class Correction:
    """t = a + b S + c n, with S the sum in milliseconds and n the number of operators."""

    form: str = "none"
    a: float = 0.0
    b: float = 1.0
    c: float = 0.0
    n_fit: int = 0

    @overload
    def apply(self, sum_ms: float, num_operators: int) -> float: ...
    @overload
    def apply(self, sum_ms: Array, num_operators: NDArray[np.int64]) -> Array: ...
    def apply(self, sum_ms: Any, num_operators: Any) -> Any:
        """Predict the latency of a network, or of each of several [n], in milliseconds."""
        return self.a + self.b * sum_ms + self.c * num_operators

    @classmethod
    def from_dict(cls, data: JsonObject) -> Correction:
        """Read the `correction` of a table's header; `NasError` where a number is missing or not finite."""
        try:
            a, b, c = (float(data[name]) for name in ("a", "b", "c"))
            correction = cls(str(data["form"]), a, b, c, int(data["n_fit"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise NasError(f"the correction {data!r} lacks a number ({error!r})", "Measure the table again") from error
        if not np.isfinite([a, b, c]).all():
            raise NasError(f"the correction {data!r} is not finite", "Measure the table again")
        return correction


def columns(form: str, sum_ms: Array, num_operators: Array) -> Array:
    """Design matrix [n, terms] of a form."""
    ones = np.ones_like(sum_ms)
    return np.stack({"scale": [sum_ms], "affine": [sum_ms, ones], "blocks": [sum_ms, num_operators]}[form], axis=1)


def fit(form: str, sum_ms: Array, num_operators: Array, measured_ms: Array) -> Correction:
    """Fit one form by least squares on the relative error."""
    design = columns(form, sum_ms, num_operators) / measured_ms[:, None]
    terms = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
    b, other = float(terms[0]), float(terms[1]) if len(terms) > 1 else 0.0
    affine = form == "affine"
    return Correction(form, other if affine else 0.0, b, 0.0 if affine else other, len(design))


def leave_one_out(form: str, sum_ms: Array, num_operators: Array, measured_ms: Array) -> float:
    """Mean relative error of a form on each network after fitting it on the others."""
    errors = []
    for index in range(len(measured_ms)):
        rest = np.arange(len(measured_ms)) != index
        fitted = fit(form, sum_ms[rest], num_operators[rest], measured_ms[rest])
        errors.append(abs(fitted.apply(sum_ms[index], num_operators[index]) / measured_ms[index] - 1))
    return float(np.mean(errors))


def choose(sum_ms: Array, num_operators: Array, measured_ms: Array) -> tuple[Correction, dict[str, float]]:
    """Fit the simplest form that no other beats clearly; also return each form's leave-one-out error.

    With fewer than three networks nothing is fitted and t = S.
    """
    forms = [form for form, needed in MIN_FIT.items() if len(measured_ms) >= needed]
    if not forms:
        return Correction(), {}
    errors = {form: leave_one_out(form, sum_ms, num_operators, measured_ms) for form in forms}
    best = "scale"
    for form in forms[1:]:
        sensible = fit(form, sum_ms, num_operators, measured_ms).b > 0
        if sensible and errors[form] < EARNS_ITS_PLACE * errors[best]:
            best = form
    return fit(best, sum_ms, num_operators, measured_ms), errors
