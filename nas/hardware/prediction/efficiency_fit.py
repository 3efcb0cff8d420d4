"""From rooflines to milliseconds: efficiencies and a scale, fitted on published throughputs.

The figures of a device come from a CSV beside its data sheet, each with its source. What was fitted is kept beside it
too, as YAML, so that pricing a network needs none of the models of the fit.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from nas.errors import NasError
from nas.files import write_text
from nas.hardware.prediction.data_sheet import spec_files
from nas.hardware.prediction.roofline import KINDS, Efficiency, Workload
from nas.statistics import INTERVAL_90
from nas.yaml_reader import read_plain, text_of

Array = NDArray[np.float64]
PUBLISHED_FILE, CALIBRATION_FILE = "published.csv", "calibration.yaml"
# What is believed beside the figures, and how much a fit may move it (1 sigma of its logarithm). All but `grouped` were
# written down before any figure was seen; that was 0.15 and made the three kinds of network with groups too slow.
PRIOR = Efficiency(memory=0.75, matmul=0.60, conv=0.50, attention=0.35, grouped=0.30, depthwise=0.25, vector_matmul=0.8)
PRIOR_SIGMA = 0.35
FIGURE_SIGMA = 0.15  # of a published figure's logarithm; outliers count for less (soft L1)
SMALLEST_SIGMA = 0.15  # no interval is narrower, whatever the figures at hand say


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published figure: what a named model reached on a device, and who says so."""

    model: str
    resolution: int
    batch: int
    dtype: str
    backend: str
    metric: str
    value: float
    source: str

    @property
    def ms(self) -> float:
        """Milliseconds per batch."""
        return self.value if self.metric == "ms" else 1e3 * self.batch / self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """A scale for one backend and some dtypes at large batches, and what leaving each model out said of it."""

    backend: str
    dtypes: tuple[str, ...]
    scale: float
    sigma_rel: float
    n: int
    loo_mape: float
    loo_median_ape: float
    loo_tau: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was fitted for a device: efficiencies, and a scale per regime."""

    device: str
    efficiency: Efficiency
    regimes: tuple[Regime, ...]

    def regime(self, dtype: str, backend: str) -> Regime | None:
        """Find the regime of a dtype and backend; None where no published figure stands behind it."""
        return next((regime for regime in self.regimes if regime.backend == backend and dtype in regime.dtypes), None)


def read_published(path: Path) -> tuple[Published, ...]:
    """Read published figures; `NasError` where a column is missing or a value is not a positive number."""
    names = tuple(field.name for field in fields(Published))
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        if tuple(reader.fieldnames or ()) != names:
            raise NasError(f"{path} has other columns than {', '.join(names)}", "Restore the file")
        figures = []
        for number, row in enumerate(reader, start=2):
            try:
                resolution, batch, value = int(row["resolution"]), int(row["batch"]), float(row["value"])
            except (TypeError, ValueError) as error:
                raise NasError(f"{path}, line {number}: {error}", "Give numbers") from error
            if row["metric"] not in ("img_s", "ms") or not (0 < value < math.inf) or min(resolution, batch) < 1:
                raise NasError(f"{path}, line {number}: not a positive figure in img_s or ms", "Mend the line")
            texts = {name: row[name] for name in ("model", "dtype", "backend", "metric", "source")}
            figures.append(Published(resolution=resolution, batch=batch, value=value, **texts))
    return tuple(figures)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Efficiencies [kinds], in the order of KINDS, and the scale that centres them."""

    efficiency: Array
    scale: float

    def ms(self, workload: Workload) -> float:
        """Predict a network's milliseconds."""
        return self.scale * workload.ms(self.efficiency)


def fit_efficiency(workloads: Sequence[Workload], measured_ms: Array, prior: Efficiency = PRIOR) -> Fit:
    """Fit efficiencies near the prior to measured milliseconds [n], robustly and on relative errors, then the scale."""
    from scipy.optimize import least_squares

    start, logs = prior.shares(), np.log(measured_ms)

    def residuals(moved: Array) -> Array:
        efficiency = start * np.exp(moved)
        errors = np.array([math.log(workload.ms(efficiency)) for workload in workloads]) - logs
        robust = np.sign(errors) * np.sqrt(2 * (np.sqrt(1 + (errors / FIGURE_SIGMA) ** 2) - 1))
        return np.concatenate([robust, moved / PRIOR_SIGMA])

    moved = least_squares(residuals, np.zeros(len(KINDS)), method="lm").x if workloads else np.zeros(len(KINDS))
    return rescale(workloads, measured_ms, start * np.exp(moved))


def rescale(workloads: Sequence[Workload], measured_ms: Array, efficiency: Array) -> Fit:
    """Return the scale that fits measured milliseconds [n] by the median, so that one wrong figure does not move it."""
    ratios = [math.log(ms / load.ms(efficiency)) for load, ms in zip(workloads, measured_ms, strict=True)]
    return Fit(efficiency, math.exp(float(np.median(ratios))) if ratios else 1.0)


def left_out(models: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Mark for each figure those of other models: two figures of one model leave the fit together."""
    return [np.array([other != model for other in models]) for model in models]


def half_width(errors: Array, coverage: float = 0.9) -> float:
    """Return the size of error, of logarithms [n], that a further figure stays below in `coverage` of all cases.

    The rank is that of conformal prediction (Vovk et al. 2005): nothing is assumed of the errors' distribution.
    """
    rank = min(math.ceil(coverage * (len(errors) + 1)), len(errors))
    return float(np.sort(np.abs(errors))[rank - 1])


def sigma_of(width: float) -> float:
    """Return the relative uncertainty whose 90 % interval has this half-width of logarithms."""
    return math.expm1(width / INTERVAL_90)


def calibration_of(device: str) -> Calibration | None:
    """Read what was fitted for a device, named as its folder; None where nothing was."""
    path = spec_files()[device].with_name(CALIBRATION_FILE)
    return read_calibration(path) if path.exists() else None


def read_calibration(path: Path) -> Calibration:
    """Read what `write_calibration` wrote; `NasError` where a part is missing or not a positive number."""
    data = read_plain(text_of(path), str(path))
    try:
        efficiency = Efficiency(**{name: float(value) for name, value in data["efficiency"].items()})
        regimes = tuple(Regime(**{**regime, "dtypes": tuple(regime["dtypes"])}) for regime in data["regimes"])
        calibration = Calibration(device=str(data["device"]), efficiency=efficiency, regimes=regimes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NasError(f"{path} is no calibration: {error!r}", "Restore it, or run benchmarks/transfer.py") from error
    numbers = [*efficiency.shares(), *(value for regime in regimes for value in (regime.scale, regime.sigma_rel))]
    if not (np.isfinite(numbers).all() and min(numbers) > 0):
        raise NasError(f"{path} holds a number that is not positive", "Restore it, or run benchmarks/transfer.py")
    return calibration


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as YAML, numbers to four digits."""
    data = plain(asdict(calibration))
    head = "# Fitted by benchmarks/transfer.py on published.csv; what the parts mean is said in docs/latency.md.\n"
    write_text(path, head + yaml.safe_dump(data, sort_keys=False))


def plain(value: Any) -> Any:
    """Turn tuples into lists and round numbers to four digits."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def rounded(calibration: Calibration) -> Calibration:
    """Return a calibration as it is once written and read."""
    regimes = tuple(Regime(**{**plain(asdict(regime)), "dtypes": regime.dtypes}) for regime in calibration.regimes)
    return replace(calibration, efficiency=Efficiency(**plain(asdict(calibration.efficiency))), regimes=regimes)
