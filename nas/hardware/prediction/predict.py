"""Latencies for a device that is not at hand: rooflines of every kernel, scaled by what is published of the device.

Nothing here is measured by us. A prediction says so, and carries an interval as wide as leaving models out has shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from nas.errors import NasError, did_you_mean
from nas.hardware.measurement.correction import Correction
from nas.hardware.prediction.data_sheet import DeviceSpec, load_spec
from nas.hardware.prediction.efficiency_fit import PRIOR, SMALLEST_SIGMA, Fit, Regime, calibration_of
from nas.hardware.prediction.roofline import KINDS, Operation, Workload, workload
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import Latency, LatencyTable
from nas.hardware.table.table_file import Row
from nas.space.cost import macs
from nas.space.operator import TRANSITIONS
from nas.space.search_space import SearchSpace
from nas.statistics import INTERVAL_90

if TYPE_CHECKING:
    from torch import nn

DTYPES = ("fp32", "tf32", "fp16", "bf16")
LARGE_BATCH = 32  # from here on a network is priced as it runs eagerly, below as it runs in a CUDA graph
SMALL_BATCH_SIGMA = 0.40  # hardly any batch-1 figure is published for an A100
UNCALIBRATED_SIGMA = 0.50  # data sheets alone; another device's efficiencies
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a network is taken to run: on a device, in a dtype and batch, by a backend that follows from the batch."""

    spec: DeviceSpec
    dtype: str
    batch: int

    @property
    def backend(self) -> str:
        """`eager` for large batches, `cudagraph` for small ones, where starting kernels would be all the time."""
        return "eager" if self.batch >= LARGE_BATCH else "cudagraph"

    @property
    def as_published(self) -> bool:
        """Whether it runs as networks do in published throughputs: by autocast, with attention in several kernels.

        Otherwise it is converted as a whole, and attention is one kernel.
        """
        return self.backend == "eager"

    def __str__(self) -> str:
        return f"{self.spec.name}, {self.dtype}, batch {self.batch}"


def conditions(device: str, dtype: str, batch: int) -> Conditions:
    """Check what a network is to be priced for; `NasError` for an unknown device or a dtype it does not compute in."""
    spec = load_spec(device)
    if dtype not in DTYPES:
        raise NasError(f"latencies in {dtype} are not predicted", did_you_mean(dtype, DTYPES))
    spec.peak(dtype)
    if batch < 1:
        raise NasError(f"a batch of {batch} holds no image", "Give 1 or more")
    return Conditions(spec, dtype, batch)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How rooflines become milliseconds under some conditions: the fit, the 1-sigma uncertainty, and in words why."""

    fit: Fit
    sigma_rel: float
    basis: str


def scaling(at: Conditions) -> Scaling:
    """Choose the scaling: the device's own calibration, or that of the A100, the only one there is, for another."""
    own = calibration_of(at.spec.name)
    reference = own or calibration_of("a100-sxm4-80gb")
    efficiency = reference.efficiency if reference else PRIOR
    regime = reference.regime(at.dtype, "eager") if reference else None
    scale = regime.scale if regime else 1.0
    fit = Fit(efficiency.shares(), scale)
    if own is None:
        return Scaling(fit, UNCALIBRATED_SIGMA, "data sheet and the efficiencies of an A100; uncalibrated")
    if regime is None or at.backend != "eager":
        return Scaling(fit, SMALL_BATCH_SIGMA, "data sheet and efficiencies at batch 128; hardly checked at this batch")
    return Scaling(fit, max(regime.sigma_rel, SMALLEST_SIGMA), describe_regime(regime))


def describe_regime(regime: Regime) -> str:
    """Return what a regime rests on."""
    return (
        f"{regime.n} published throughputs at batch 128; each model left out: "
        f"median error {regime.loo_median_ape:.0%}, mean {regime.loo_mape:.0%}, Kendall tau {regime.loo_tau:.2f}"
    )


def kernels(module: nn.Module, shape: tuple[int, ...], at: Conditions) -> tuple[Operation, ...]:
    """List the kernels of a module for one input shape under `at`; the module loses its weights."""
    from nas.hardware.prediction.operations import Setting, operations_of

    return operations_of(
        module, shape, Setting(at.dtype, autocast=at.as_published, fused_attention=not at.as_published)
    )


def load_of(operations: Sequence[Operation], at: Conditions) -> Workload:
    """Lay kernels against the peaks of the device."""
    start_us = at.spec.host_launch_us if at.backend == "eager" else at.spec.launch_us
    return workload(operations, at.spec, tf32=at.dtype == "tf32", start_us=start_us)


def network_ms(operations: Sequence[Operation], at: Conditions, fit: Fit) -> float:
    """Price a whole network: its kernels and, before them, the one call that the host makes."""
    return fit.ms(load_of(operations, at)) + at.spec.host_launch_us / 1e3


def predict_network(module: nn.Module, resolution: int, at: Conditions) -> tuple[Latency, int]:
    """Predict the latency of any image network per batch, and count its MACs for one image.

    The module is moved to the meta device and loses its weights.
    """
    operations = kernels(module, (at.batch, 3, resolution, resolution), at)
    scaled = scaling(at)
    ms = network_ms(operations, at, scaled.fit)
    factor = math.exp(INTERVAL_90 * math.log1p(scaled.sigma_rel))
    count = sum(operation.flops for operation in operations) // (2 * at.batch)
    return Latency(ms, ms / factor, ms * factor, "predicted"), count


def predict_table(space: SearchSpace, at: Conditions, progress: Progress = lambda done, total: None) -> LatencyTable:
    """Predict a latency table for every float operator of a space; nothing is written.

    Integer bit-widths get no rows: only a measured integer kernel makes them a choice.
    """
    scaled, rows = scaling(at), {}
    placed = [op for op in space.operators() if op.bits == "fp" and op.kind not in TRANSITIONS]
    for done, operator in enumerate(placed, start=1):
        ms = scaled.fit.ms(load_of(operator_kernels(operator, at), at))
        ms = float(f"{ms:.6g}")  # what is shipped must not depend on the last bits of a machine's arithmetic
        rows[operator.key] = Row(ms, ms, ms, 0, 0, 0.0, macs(operator) * at.batch, "predicted", scaled.sigma_rel)
        progress(done, len(placed))
    return LatencyTable(predicted_header(space, at, scaled), rows)


def operator_kernels(operator: Any, at: Conditions) -> tuple[Operation, ...]:
    """List the kernels of an operator as it is deployed, its norms folded."""
    from nas.hardware.prediction.operations import build_without_memory
    from nas.nn.subnet import build_operator, fold_norms

    module = fold_norms(build_without_memory(partial(build_operator, operator)))
    return kernels(module, (at.batch, operator.in_channels, operator.grid, operator.grid), at)


def predicted_header(space: SearchSpace, at: Conditions, scaled: Scaling) -> TableHeader:
    """Return the header of a predicted table; `sigma_sys` is shared by all rows and does not shrink in their sum."""
    spec = asdict(at.spec)
    shares = zip(KINDS, scaled.fit.efficiency, strict=True)
    prediction = {
        "source_tables": [],
        "method": "scale x sum over kernels of start + max(operations / peak, bytes / bandwidth)",
        "basis": scaled.basis,
        "efficiency": {name: float(f"{value:.4g}") for name, value in shares},
        "scale": scaled.fit.scale,
        "data_sheet": {name: list(value) if isinstance(value, tuple) else value for name, value in spec.items()},
        "interval_90": math.exp(INTERVAL_90 * math.log1p(scaled.sigma_rel)),
    }
    return TableHeader(
        provenance="predicted",
        device=at.spec.name,
        device_kind="cuda",
        fingerprint={"model": at.spec.title},
        backend=at.backend,
        dtype=at.dtype,
        batch=at.batch,
        threads=1,
        space=space.name,
        space_hash=space.hash,
        space_definition=space.definition(),
        num_classes=space.num_classes,
        null_ms=at.spec.host_launch_us / 1e3,
        correction=Correction(),
        sigma_sys=scaled.sigma_rel,
        validation={},
        evidence={"resolutions": sorted(space.resolutions), "prediction": prediction},
    )
