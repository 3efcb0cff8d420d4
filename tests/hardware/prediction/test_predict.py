from __future__ import annotations

import math
from pathlib import Path

import pytest
from torch import nn

from nas.errors import NasError
from nas.hardware.prediction.data_sheet import load_spec, spec_files
from nas.hardware.prediction.predict import (
    Conditions,
    conditions,
    load_of,
    network_ms,
    operator_kernels,
    predict_network,
    predict_table,
    scaling,
)
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.provenance import describe
from nas.hardware.table.table_file import write_table
from nas.shipped import SHIPPED_SPACES
from nas.space.operator import TRANSITIONS
from nas.space.search_space import SearchSpace

A100 = conditions("a100", "bf16", 1)
SHIPPED = spec_files()["a100-sxm4-80gb"].parent
SPACES = sorted(path.stem for path in SHIPPED_SPACES.glob("*.yaml"))
SOME = 12  # operators of a large space that are predicted again


def small_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def shipped(space: str) -> LatencyTable:
    return LatencyTable.load(SHIPPED / f"cudagraph-bf16-b1-{space}.json")


@pytest.mark.parametrize("space", SPACES)
def test_the_shipped_a100_table_is_what_the_code_makes(space: str) -> None:
    table, here = shipped(space), SearchSpace.load(space)
    placed = [op for op in here.operators() if op.bits == "fp" and op.kind not in TRANSITIONS]  # no predicted bits
    assert table.rows.keys() == {operator.key for operator in placed}
    assert table.header.space_hash == here.hash
    scaled = scaling(A100)
    for operator in placed[:: max(1, len(placed) // SOME)]:
        ms = scaled.fit.ms(load_of(operator_kernels(operator, A100), A100))
        assert table.rows[operator.key].ms == pytest.approx(ms, rel=1e-5)
    assert {row.provenance for row in table.rows.values()} == {"predicted"}


def test_a_predicted_table_is_whole_and_says_what_it_is(tmp_path: Path) -> None:
    toy, steps = SearchSpace.load("toy"), []
    table = predict_table(toy, A100, progress=lambda done, total: steps.append((done, total)))
    write_table(table.header, table.rows, tmp_path / "t")
    table = LatencyTable.load(tmp_path / "t.json")
    latency = table.predict(toy.largest())
    assert steps[-1] == (len(toy.operators()),) * 2
    assert latency.provenance == "predicted"
    said = describe(latency, table.header.scope)
    assert "predicted for a100-sxm4-80gb, bf16, batch 1; 90 % interval" in said and said.endswith("never measured)")
    for part in ("source_tables", "method", "basis", "efficiency", "scale", "data_sheet", "interval_90"):
        assert part in table.header.evidence["prediction"]
    rows = {key: row.ms for key, row in shipped("toy").rows.items()}
    assert {key: row.ms for key, row in table.rows.items()} == pytest.approx(rows, rel=1e-5)


def test_the_interval_of_a_predicted_network_does_not_shrink_with_its_operators() -> None:
    table = shipped("scan-mix")
    space = table.space
    for architecture in (space.smallest(), space.largest()):
        latency = table.predict(architecture)
        assert latency.high_ms / latency.ms == pytest.approx(math.exp(1.64 * math.log1p(table.header.sigma_sys)))
        assert latency.high_ms / latency.low_ms > 2


def test_a_larger_batch_takes_longer_and_less_per_image() -> None:
    times = {
        batch: predict_network(small_network(), 224, conditions("a100", "fp16", batch))[0].ms
        for batch in (1, 16, 64, 256)
    }
    assert times[1] < times[16] < times[64] < times[256]
    assert times[256] / 256 <= times[64] / 64 and times[16] / 16 < times[1]  # from 32 on, as published: eagerly


def test_macs_are_per_image_whatever_the_batch() -> None:
    expected = 3 * 64 * 49 * 112 * 112 + 640
    assert {predict_network(small_network(), 224, conditions("a100", "fp16", batch))[1] for batch in (1, 64)} == {
        expected
    }


def test_half_precision_is_faster_and_a_slower_device_slower() -> None:
    def ms(device: str, dtype: str) -> float:
        return predict_network(small_network(), 224, conditions(device, dtype, 64))[0].ms

    assert ms("a100", "fp16") < ms("a100", "fp32")
    assert ms("a100-80gb", "fp16") <= ms("t4", "fp16")


def test_uncertainty_says_how_much_is_known() -> None:
    calibrated, small, other = (
        scaling(conditions(*at)) for at in (("a100", "fp16", 128), ("a100", "fp16", 1), ("h100", "fp16", 128))
    )
    assert 0.15 <= calibrated.sigma_rel <= small.sigma_rel <= other.sigma_rel
    assert "published throughputs" in calibrated.basis and "uncalibrated" in other.basis


def test_an_eager_network_is_no_faster_than_its_kernels_are_submitted() -> None:
    at = Conditions(load_spec("a100"), "fp16", 64)
    listed = operator_kernels(SearchSpace.load("toy").operators()[0], at)
    assert network_ms(listed * 1000, at, scaling(at).fit) >= 900 * len(listed) * at.spec.host_launch_us / 1e3


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (("a100", "int8", 1), "int8 are not predicted"),
        (("t4", "bf16", 1), "t4 does not compute in bf16"),
        (("a10", "fp16", 1), "Did you mean 'a100'"),
        (("a100", "fp16", 0), "holds no image"),
    ],
)
def test_what_cannot_be_priced_is_refused(asked: tuple[str, str, int], word: str) -> None:
    with pytest.raises(NasError, match=word):
        conditions(*asked)
