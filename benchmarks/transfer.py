"""Published A100 throughputs against what is predicted of each model from the others, beside two baselines.

Every model is left out once: efficiencies and scale are fitted on the others, and the interval is as wide as their own
errors when left out. Baselines: all operations and all bytes at the peaks of the data sheet, as it stands and with one
scale fitted on the other models, and MACs with one scale.

python benchmarks/transfer.py             # prints the tables; seconds to minutes, no GPU
python benchmarks/transfer.py --models    # and every model
python benchmarks/transfer.py --write     # keeps the fit beside the figures, where nas reads it
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from nas.hardware.prediction.data_sheet import spec_files
from nas.hardware.prediction.efficiency_fit import (
    CALIBRATION_FILE,
    PUBLISHED_FILE,
    Calibration,
    Fit,
    Published,
    Regime,
    fit_efficiency,
    half_width,
    left_out,
    read_published,
    rescale,
    rounded,
    sigma_of,
    write_calibration,
)
from nas.hardware.prediction.operations import build_without_memory
from nas.hardware.prediction.predict import Conditions, conditions, kernels, load_of, network_ms
from nas.hardware.prediction.roofline import KINDS, Efficiency, Operation, Workload
from nas.nn.timm_model import timm_network
from nas.statistics import kendall_tau

DEVICE = "a100-sxm4-80gb"
REGIMES = {("fp16", "bf16"): "fp16", ("fp32",): "fp32", ("tf32",): "tf32"}  # dtypes that share a scale: whose figures
# Models whose throughput was read from the data of a paper; those of the others were read from its text.
IN_DATA_FILE = {
    *("regnety_040", "resnetv2_101", "swin_small_patch4_window7_224", "swinv2_tiny_window8_256", "tnt_s_patch16_224"),
    *("twins_svt_small", "twins_svt_base", "visformer_small", "nextvit_small", "nextvit_base", "efficientformer_l1"),
    "maxvit_large_tf_224",
}
Predict = Callable[[np.ndarray], np.ndarray]


def operations_of(point: Published, at: Conditions) -> tuple[Operation, ...]:
    make = partial(timm_network, point.model, point.resolution)
    return kernels(build_without_memory(make), (point.batch, 3, point.resolution, point.resolution), at)


def predictions(models: Sequence[str], fit_on: Callable[[np.ndarray], Predict]) -> np.ndarray:
    """Give for every figure what the fit on the other models says of it."""
    found = np.empty(len(models))
    for index, others in enumerate(left_out(models)):
        found[index] = fit_on(others)(np.array([index]))[0]
    return found


def one_scale(prior_ms: np.ndarray, measured_ms: np.ndarray) -> Callable[[np.ndarray], Predict]:
    """Fit one scale by the median of ratios."""

    def fit_on(others: np.ndarray) -> Predict:
        scale = float(np.exp(np.median(np.log(measured_ms[others] / prior_ms[others]))))
        return lambda wanted: scale * prior_ms[wanted]

    return fit_on


def calibrated(
    operations: list[tuple[Operation, ...]],
    at: list[Conditions],
    measured_ms: np.ndarray,
    efficiency: np.ndarray | None,
) -> Callable[[np.ndarray], Predict]:
    """Fit efficiencies and scale, or the scale alone where efficiencies are given."""
    loads = [load_of(*pair) for pair in zip(operations, at, strict=True)]

    def fit_on(others: np.ndarray) -> Predict:
        chosen = [load for load, kept in zip(loads, others, strict=True) if kept]
        fit = fit_of(chosen, measured_ms[others], efficiency)
        return lambda wanted: np.array([network_ms(operations[i], at[i], fit) for i in wanted])

    return fit_on


def fit_of(loads: list[Workload], measured_ms: np.ndarray, efficiency: np.ndarray | None) -> Fit:
    return fit_efficiency(loads, measured_ms) if efficiency is None else rescale(loads, measured_ms, efficiency)


def coverage(errors: np.ndarray, models: Sequence[str]) -> float:
    """Share of figures inside the interval that the errors of the other models make."""
    inside = [abs(errors[index]) <= half_width(errors[others]) for index, others in enumerate(left_out(models))]
    return float(np.mean(inside))


def line(name: str, predicted: np.ndarray, measured: np.ndarray, models: Sequence[str]) -> str:
    errors = np.log(predicted / measured)
    ape = np.abs(predicted / measured - 1)
    return (
        f"{name:<44}{np.median(ape):7.1%}{ape.mean():7.1%}{np.quantile(ape, 0.9):7.1%}{ape.max():7.1%}"
        f"{kendall_tau(predicted, measured):7.2f}{coverage(errors, models):7.0%}"
    )


def show(title: str, rows: dict[str, np.ndarray], measured: np.ndarray, models: Sequence[str]) -> None:
    print(f"\n{title}, {len(measured)} figures")
    print(f"{'each model left out':<44}{'median':>7}{'mean':>7}{'p90':>7}{'max':>7}{'tau':>7}{'inside':>7}")
    for name, predicted in rows.items():
        print(line(name, predicted, measured, models))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--models", action="store_true")
    args = parser.parse_args()
    folder = spec_files()[DEVICE].parent
    points = read_published(folder / PUBLISHED_FILE)
    efficiency: np.ndarray | None = None
    regimes = []
    for dtypes, dtype in REGIMES.items():
        chosen = [each for each in points if each.dtype == dtype and each.backend == "eager"]
        at = [conditions(DEVICE, each.dtype, each.batch) for each in chosen]
        operations = [operations_of(*pair) for pair in zip(chosen, at, strict=True)]
        measured, models = np.array([each.ms for each in chosen]), [each.model for each in chosen]
        macs = np.array([sum(each.flops for each in listed) / 2 for listed in operations])
        sheet = np.array([whole_roofline_ms(*pair) for pair in zip(operations, at, strict=True)])
        ours = predictions(models, calibrated(operations, at, measured, efficiency))
        rows = {
            "rooflines of kernels, calibrated (ours)": ours,
            "all operations and bytes at peak": sheet,
            "  with one scale": predictions(models, one_scale(sheet, measured)),
            "MACs with one scale": predictions(models, one_scale(macs, measured)),
        }
        show(f"{DEVICE} {dtype} batch 128, eager", rows, measured, models)
        if dtype == "fp16":
            kept = np.array([model in IN_DATA_FILE for model in models])
            some = [model for model in models if model in IN_DATA_FILE]
            show(
                "  of these, the models of the data file",
                {name: row[kept] for name, row in rows.items()},
                measured[kept],
                some,
            )
        if args.models:
            for each, predicted in sorted(zip(chosen, ours, strict=True), key=lambda pair: pair[1] / pair[0].ms):
                ratio = predicted / each.ms
                print(f"    {each.model:<34}{each.ms:9.2f} ms published, {predicted:9.2f} predicted, x{ratio:.2f}")
        loads = [load_of(*pair) for pair in zip(operations, at, strict=True)]
        fit = fit_of(loads, measured, efficiency)
        efficiency = fit.efficiency
        ape = np.abs(ours / measured - 1)
        regimes.append(
            Regime(
                backend="eager",
                dtypes=dtypes,
                scale=fit.scale,
                sigma_rel=sigma_of(half_width(np.log(ours / measured))),
                n=len(measured),
                loo_mape=float(ape.mean()),
                loo_median_ape=float(np.median(ape)),
                loo_tau=kendall_tau(ours, measured),
            )
        )
    assert efficiency is not None
    named = dict(zip(KINDS, efficiency.tolist(), strict=True))
    print("\nefficiencies: " + ", ".join(f"{kind} {share:.2f}" for kind, share in named.items()))
    for regime in regimes:
        print(f"{'/'.join(regime.dtypes)}: scale {regime.scale:.3f}, sigma {regime.sigma_rel:.2f}")
    calibration = rounded(Calibration(device=DEVICE, efficiency=Efficiency(**named), regimes=tuple(regimes)))
    check_small_batches(points, calibration)
    if args.write:
        write_calibration(calibration, folder / CALIBRATION_FILE)


def whole_roofline_ms(operations: Sequence[Operation], at: Conditions) -> float:
    """Price a network by its data sheet alone: the longer of all computing at peak and all bytes at peak."""
    load = load_of(operations, at)
    return float(max(load.compute_ms.sum(), load.memory_ms.sum()))


def check_small_batches(points: Sequence[Published], calibration: Calibration) -> None:
    """Print the few published figures of CUDA graphs at small batches beside what is said of them; they fit nothing."""
    print("\nCUDA graphs at small batches (published with compiled kernels; not used in any fit)")
    for each in points:
        if each.backend == "cudagraph":
            at = conditions(DEVICE, each.dtype, each.batch)
            regime = calibration.regime(each.dtype, "eager")
            fit = Fit(calibration.efficiency.shares(), regime.scale if regime else 1.0)
            predicted = network_ms(operations_of(each, at), at, fit)
            print(f"    {each.model:<20} batch {each.batch:<3}{each.ms:9.2f} ms published, {predicted:9.2f} predicted")


if __name__ == "__main__":
    main()
