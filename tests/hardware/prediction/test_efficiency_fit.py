from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nas.errors import NasError
from nas.hardware.prediction.data_sheet import load_spec, spec_files
from nas.hardware.prediction.efficiency_fit import (
    PRIOR,
    Calibration,
    Regime,
    calibration_of,
    fit_efficiency,
    half_width,
    left_out,
    read_calibration,
    read_published,
    rescale,
    rounded,
    sigma_of,
    write_calibration,
)
from nas.hardware.prediction.roofline import KINDS, Operation, Workload, workload
from nas.statistics import INTERVAL_90

A100 = load_spec("a100")


def made_up(seed: int, count: int = 30) -> list[Workload]:
    """Networks of random kernels of every kind."""
    rng, kinds = np.random.default_rng(seed), KINDS[:-1]
    found = []
    for _ in range(count):
        shares = rng.dirichlet(np.ones(len(kinds)))
        operations = [
            Operation(kind, "fp16", int(2e12 * share * rng.uniform(0.2, 1)), int(2e9 * rng.uniform(0, share)), 10**6)
            for kind, share in zip(kinds, shares, strict=True)
        ]
        found.append(workload(operations, A100, tf32=False, start_us=2.5))
    return found


def test_a_fit_predicts_networks_it_has_not_seen_better_than_the_prior() -> None:
    truth = PRIOR.shares() * np.array([0.7, 1.4, 0.6, 1.0, 1.5, 0.7, 1.0])
    seen, unseen = made_up(0), made_up(1)
    noise = np.random.default_rng(2).normal(0, 0.02, len(seen))
    fit = fit_efficiency(seen, np.array([each.ms(truth) for each in seen]) * np.exp(noise))
    errors = {
        name: np.mean([abs(scale * each.ms(shares) / each.ms(truth) - 1) for each in unseen])
        for name, shares, scale in (("fit", fit.efficiency, fit.scale), ("prior", PRIOR.shares(), 1.0))
    }
    assert errors["fit"] < 0.1 < errors["prior"]


def test_without_figures_the_fit_is_the_prior() -> None:
    fit = fit_efficiency([], np.array([]))
    assert fit.efficiency == pytest.approx(PRIOR.shares()) and fit.scale == 1.0


def test_one_wrong_figure_does_not_move_the_scale_and_hardly_the_efficiencies() -> None:
    loads = made_up(3, 15)
    measured = np.array([2 * each.ms(PRIOR.shares()) for each in loads])
    wrong = np.where(np.arange(15) == 4, 10 * measured, measured)
    assert rescale(loads, wrong, PRIOR.shares()).scale == pytest.approx(2.0)
    right, moved = fit_efficiency(loads, measured), fit_efficiency(loads, wrong)
    for each in loads[:4]:
        assert moved.ms(each) == pytest.approx(right.ms(each), rel=0.1)


def test_two_figures_of_one_model_leave_the_fit_together() -> None:
    assert [kept.tolist() for kept in left_out(["a", "b", "a"])] == [
        [False, True, False],
        [True, False, True],
        [False, True, False],
    ]


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = [
        abs(rng.standard_t(3)) <= half_width(rng.standard_t(3, 28))
        for _ in range(4000)  # heavy tails: nothing normal is assumed
    ]
    assert 0.89 <= np.mean(inside) <= 0.95
    assert math.exp(INTERVAL_90 * math.log1p(sigma_of(0.4))) == pytest.approx(math.exp(0.4))


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    regime = Regime(
        backend="eager",
        dtypes=("fp16", "bf16"),
        scale=1.23456789,
        sigma_rel=0.2,
        n=29,
        loo_mape=0.15,
        loo_median_ape=0.1,
        loo_tau=0.8,
    )
    calibration = Calibration(device="board", efficiency=PRIOR, regimes=(regime,))
    write_calibration(calibration, tmp_path / "calibration.yaml")
    found = read_calibration(tmp_path / "calibration.yaml")
    assert found == rounded(calibration)
    assert found.regimes[0].scale == 1.235
    assert found.regime("bf16", "eager") == found.regimes[0]
    assert found.regime("bf16", "cudagraph") is None is found.regime("fp32", "eager")


@pytest.mark.parametrize(
    ("old", "new"),
    [("memory: 0.75", "memory: -1.0"), ("memory: 0.75", "memory: .nan"), ("memory:", "memry:"), ("device", "x")],
)
def test_a_wrong_calibration_is_refused(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.yaml"
    write_calibration(Calibration(device="board", efficiency=PRIOR, regimes=()), path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(NasError, match=r"calibration\.yaml"):
        read_calibration(path)


def test_only_devices_with_published_figures_are_calibrated() -> None:
    assert calibration_of("a100-sxm4-80gb") is not None
    assert calibration_of("t4") is None


def test_every_published_figure_has_its_source() -> None:
    points = read_published(spec_files()["a100-sxm4-80gb"].with_name("published.csv"))
    assert len(points) > 40 and all(":" in each.source for each in points)
    assert len({(each.model, each.resolution, each.batch, each.dtype, each.backend) for each in points}) == len(points)
    (resnet,) = (each for each in points if each.model == "resnet50" and each.batch == 128)
    assert resnet.ms == pytest.approx(1e3 * 128 / 3149)


@pytest.mark.parametrize(
    "text",
    [
        "model,resolution\na,1\n",
        "model,resolution,batch,dtype,backend,metric,value,source\na,224,128,fp16,eager,img_s,-3,x\n",
        "model,resolution,batch,dtype,backend,metric,value,source\na,224,128,fp16,eager,img_s,fast,x\n",
        "model,resolution,batch,dtype,backend,metric,value,source\na,224,128,fp16,eager,hours,3,x\n",
    ],
)
def test_wrong_published_figures_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "published.csv").write_text(text)
    with pytest.raises(NasError, match=r"published\.csv"):
        read_published(tmp_path / "published.csv")
