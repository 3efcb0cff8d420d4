from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nas.hardware.prediction.data_sheet import load_spec
from nas.hardware.prediction.roofline import KINDS, Efficiency, Operation, workload

FULL = Efficiency(memory=1, matmul=1, conv=1, attention=1, grouped=1, depthwise=1, vector_matmul=1).shares()
A100 = load_spec("a100")
MANY = 10**6  # tiles: no multiprocessor is idle


def ms(operation: Operation, efficiency: np.ndarray = FULL, *, tf32: bool = False, start_us: float = 0.0) -> float:
    return workload([operation], A100, tf32=tf32, start_us=start_us).ms(efficiency)


@pytest.mark.parametrize(
    ("kind", "dtype", "tf32", "tflops"),
    [
        ("matmul", "fp16", False, 312),
        ("matmul", "bf16", False, 312),
        ("conv", "fp32", False, 156),  # cuDNN's default
        ("matmul", "fp32", False, 19.5),  # cuBLAS's default
        ("matmul", "fp32", True, 156),
        ("depthwise", "fp16", False, 19.5),  # no tensor unit serves it
    ],
)
def test_computing_takes_its_operations_over_the_peak_of_its_unit(
    kind: str, dtype: str, tf32: bool, tflops: float
) -> None:
    assert ms(Operation(kind, dtype, 10**12, 1, MANY), tf32=tf32) == pytest.approx(1e3 / tflops)


def test_moving_takes_bytes_over_bandwidth_and_starting_its_own_time() -> None:
    assert ms(Operation("memory", "fp16", 0, 2039 * 10**6, 0)) == pytest.approx(1.0)
    assert ms(Operation("memory", "fp16", 0, 0, 0), start_us=2.5) == pytest.approx(2.5e-3)


def test_computing_and_moving_overlap_and_starting_does_not() -> None:
    compute, memory = Operation("matmul", "fp16", 10**12, 0, MANY), Operation("matmul", "fp16", 0, 10**9, MANY)
    both = Operation("matmul", "fp16", 10**12, 10**9, MANY)
    assert ms(both) == max(ms(compute), ms(memory))
    assert ms(both, start_us=2.5) == pytest.approx(ms(both) + 2.5e-3)


def test_half_the_efficiency_takes_twice_as_long_for_its_kind_only() -> None:
    for index, kind in enumerate(KINDS):
        slower = np.where(np.arange(len(KINDS)) == index, 0.5, 1.0)
        for other in KINDS[1:-1]:
            operation = Operation(other, "fp16", 10**12, 1, MANY)
            assert ms(operation, slower) == pytest.approx(ms(operation) * (2 if other == kind else 1))


def test_few_tiles_leave_multiprocessors_idle() -> None:
    times = [ms(Operation("matmul", "fp16", 10**12, 0, tiles)) for tiles in (1, 27, 54, 108, 216)]
    assert times[0] == pytest.approx(108 * times[3])
    assert times[1] == pytest.approx(2 * times[2]) == pytest.approx(4 * times[3])
    assert times[3] == times[4]


def test_a_faster_device_is_never_slower() -> None:
    better = dataclasses.replace(A100, bandwidth_gb_s=4000, peak_tflops={k: 2 * v for k, v in A100.peak_tflops.items()})
    rng = np.random.default_rng(0)
    operations = [
        Operation(KINDS[rng.integers(6)], "fp16", int(rng.integers(10**12)), int(rng.integers(10**9)), MANY)
        for _ in range(100)
    ]
    before, after = (workload(operations, spec, tf32=False, start_us=2.5).kernels_ms(FULL) for spec in (A100, better))
    assert (after <= before).all() and (after < before).any()
