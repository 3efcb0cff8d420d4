"""The time of kernels by their roofline: that of being started, and the longer of computing and moving bytes.

Williams et al. 2009, Roofline. A kernel reaches a share of each peak, its efficiency, which depends on its kind; and a
matrix product with fewer tiles than the device has multiprocessors leaves some of them idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.hardware.prediction.data_sheet import DeviceSpec

Array = NDArray[np.float64]
KINDS = ("memory", "matmul", "conv", "attention", "grouped", "depthwise", "vector_matmul")


@dataclass(frozen=True, slots=True)
class Operation:
    """One kernel: its kind, its dtype, what it computes, what it reads and writes, its parallel parts."""

    kind: str
    dtype: str
    flops: int
    bytes_moved: int
    tiles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """Shares of the data sheet's peaks that kernels reach, by kind.

    `memory` is that of the bandwidth, `vector_matmul` that of matrix products which no tensor unit serves.
    """

    memory: float
    matmul: float
    conv: float
    attention: float
    grouped: float
    depthwise: float
    vector_matmul: float

    def shares(self) -> Array:
        """Return the shares in the order of KINDS."""
        return np.array([getattr(self, kind) for kind in KINDS])


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """A network on a device: per kernel [n] the milliseconds at the data sheet's peaks, its kind and its number."""

    compute_ms: Array
    memory_ms: Array
    kind: NDArray[np.int64]  # index into KINDS
    start_ms: float  # of starting a kernel

    def ms(self, efficiency: Array) -> float:
        """Return the milliseconds of the whole at efficiencies [kinds], in the order of KINDS."""
        return float(self.kernels_ms(efficiency).sum())

    def kernels_ms(self, efficiency: Array) -> Array:
        """Return the milliseconds of every kernel."""
        return self.start_ms + np.maximum(self.compute_ms / efficiency[self.kind], self.memory_ms / efficiency[0])


def workload(operations: Sequence[Operation], spec: DeviceSpec, *, tf32: bool, start_us: float) -> Workload:
    """Lay a network's kernels against the peaks of a device.

    float32 convolutions use TF32 where the device has it, as cuDNN does by default; float32 matrix products do with
    `tf32` only. `start_us` is the time of starting a kernel, which nothing hides.
    """
    units = [unit_of(operation, spec, tf32) for operation in operations]
    kind = np.array([KINDS.index(name) for name, _ in units], dtype=np.int64)
    peak = np.array([peak for _, peak in units])
    flops = np.array([operation.flops for operation in operations], dtype=float)
    tiles = np.array([operation.tiles for operation in operations], dtype=float)
    busy = np.clip(tiles / spec.sms, 1 / spec.sms, 1.0)
    return Workload(
        compute_ms=flops / (peak * busy) / 1e9,
        memory_ms=np.array([operation.bytes_moved for operation in operations], dtype=float)
        / spec.bandwidth_gb_s
        / 1e6,
        kind=kind,
        start_ms=start_us / 1e3,
    )


def unit_of(operation: Operation, spec: DeviceSpec, tf32: bool) -> tuple[str, float]:
    """Return the kind whose efficiency counts, and the peak TFLOP/s of the unit that computes it."""
    kind, dtype = operation.kind, operation.dtype
    if kind in ("memory", "depthwise"):
        return kind, spec.peak("fp32")
    if dtype == "fp32":
        if "tf32" in spec.peak_tflops and (tf32 or kind in ("conv", "grouped")):
            return kind, spec.peak("tf32")
        return ("vector_matmul" if kind in ("matmul", "attention") else kind), spec.peak("fp32")
    return kind, spec.peak(dtype)
