from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.hardware.device import Device, is_foreign
from nas.hardware.measurement.correction import Correction
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import Latency, LatencyTable, check_space
from nas.hardware.table.provenance import describe
from nas.hardware.table.table_file import Row, write_table
from nas.space.search_space import SearchSpace

ORACLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)


def test_the_name_of_a_device_loads_its_table(toy_table: Path, toy_rows: dict[str, Row]) -> None:
    table = LatencyTable.load("cpu")
    assert table.rows == toy_rows
    assert table == LatencyTable.load(toy_table.with_name(f"{toy_table.name}.csv"))
    assert table == LatencyTable.load(toy_table.with_name(f"{toy_table.name}.json"))


def test_a_prediction_is_the_corrected_sum_of_rows(toy_table: Path, toy: SearchSpace, toy_rows: dict) -> None:
    table = LatencyTable.load("cpu")
    for architecture in toy.everything():
        by_hand = 0.002 + sum(toy_rows[operator.key].ms for operator in toy.operators_of(architecture))
        assert table.predict(architecture).ms == pytest.approx(1.25 * by_hand, rel=1e-12)
        assert table.predict(architecture).provenance == "measured"


def test_every_term_of_the_correction_counts(toy_header: TableHeader, toy_rows: dict, toy: SearchSpace) -> None:
    correction = Correction("affine", 0.5, 2.0, 0.25, 10)
    plain, corrected = (
        LatencyTable(replace(toy_header, correction=one), toy_rows)
        for one in (replace(toy_header.correction, b=1.0), correction)
    )
    architecture = toy.smallest()
    expected = 0.5 + 2 * plain.predict(architecture).ms + 0.25 * len(toy.operators_of(architecture))
    assert corrected.predict(architecture).ms == pytest.approx(expected)


@ORACLE
@given(seed=st.integers(0, 2**32 - 1))
def test_many_genomes_are_priced_exactly_as_one_by_one(seed: int, toy_table: Path, toy: SearchSpace) -> None:
    table = LatencyTable.load("cpu")
    genomes = np.random.default_rng(seed).integers(0, toy.cardinalities, size=(20, len(toy.cardinalities)))
    assert table.predict_many(genomes).tolist() == [table.predict(toy.decode(genome)).ms for genome in genomes]
    assert table.predict_many(genomes[:0]).shape == (0,)


@ORACLE
@given(sigmas=st.tuples(st.floats(0, 1), st.floats(0, 1)), scale=st.floats(0.5, 2))
def test_the_interval_holds_the_prediction_and_grows_with_uncertainty(
    sigmas: tuple[float, float], scale: float, toy_header: TableHeader, toy_rows: dict, toy: SearchSpace
) -> None:
    rows = {key: dataclasses.replace(row, ms=row.ms * scale) for key, row in toy_rows.items()}
    less, more = (
        LatencyTable(replace(toy_header, sigma_sys=sigma), rows).predict(toy.largest()) for sigma in sorted(sigmas)
    )
    assert more.low_ms <= less.low_ms < less.ms == more.ms < less.high_ms <= more.high_ms


def test_the_interval_is_the_documented_one(toy_header: TableHeader, toy_rows: dict, toy: SearchSpace) -> None:
    rows = {key: dataclasses.replace(row, sigma_rel=0.0) for key, row in toy_rows.items()}
    latency = LatencyTable(toy_header, rows).predict(toy.smallest())
    assert latency.high_ms / latency.ms == pytest.approx(math.exp(1.64 * math.log(1.04)))
    assert latency.ms / latency.low_ms == pytest.approx(math.exp(1.64 * math.log(1.04)))


def test_one_interpolated_row_makes_the_sum_interpolated(
    toy_header: TableHeader, toy_rows: dict, toy: SearchSpace
) -> None:
    key = toy.operators_of(toy.smallest())[0].key
    rows = toy_rows | {key: dataclasses.replace(toy_rows[key], provenance="interpolated")}
    assert LatencyTable(toy_header, rows).predict(toy.smallest()).provenance == "interpolated"


def test_a_missing_operator_is_named_with_its_neighbours_and_the_remedy(
    toy_header: TableHeader, toy_rows: dict, toy: SearchSpace
) -> None:
    key = toy.operators_of(toy.smallest())[1].key
    rows = {other: row for other, row in toy_rows.items() if other != key}
    with pytest.raises(NasError) as caught:
        LatencyTable(toy_header, rows).predict(toy.smallest())
    assert key in caught.value.message
    assert any(other in caught.value.message for other in rows)
    assert "nas profile --device cpu --space" in caught.value.hint


def test_an_unknown_device_is_refused_with_the_close_match_and_the_command(toy_table: Path) -> None:
    with pytest.raises(NasError) as caught:
        LatencyTable.load("cpv")
    assert "Did you mean 'cpu'?" in str(caught.value)
    assert "To measure this one: nas profile --device cpv" in str(caught.value)


@pytest.mark.parametrize("wanted", [{"batch": 3}, {"dtype": "bf16"}, {"backend": "eager"}, {"space": "other"}])
def test_a_setting_that_was_not_measured_is_refused_naming_what_was(wanted: dict[str, Any], toy_table: Path) -> None:
    (name, value), *_ = wanted.items()
    with pytest.raises(NasError) as caught:
        LatencyTable.load("cpu", **wanted)
    assert f"{name} {value}" in caught.value.message
    assert "cpu onnxruntime fp32 batch 1, toy" in caught.value.message
    assert f"nas profile --device cpu --{name} {value}" in caught.value.hint


def test_the_default_table_is_taken_unless_another_is_asked_for(
    toy_table: Path, toy_header: TableHeader, toy_rows: dict
) -> None:
    folder = toy_table.parent
    write_table(replace(toy_header, batch=8), toy_rows, folder / "a-batch-8")
    write_table(replace(toy_header, backend="eager"), toy_rows, folder / "an-eager-one")
    write_table(replace(toy_header, space="big"), toy_rows, folder / "big")
    write_table(replace(toy_header, space="scan-mix-tiny"), toy_rows, folder / "z")
    assert LatencyTable.load("cpu").header.space == "scan-mix-tiny"
    assert LatencyTable.load("cpu", space="toy").header.backend == "onnxruntime"
    assert LatencyTable.load("cpu", backend="eager").header.batch == 1
    assert LatencyTable.load("cpu", batch=8).header.backend == "onnxruntime"


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="there is no latency table"):
        LatencyTable.load(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "changed",
    [{"space_hash": "0" * 16}, {"space_definition": {"name": "x"}}, {"correction": {}}, {"correction": {"b": -1.0}}],
)
def test_a_header_that_contradicts_itself_is_refused(changed: dict, toy_table: Path, toy_header: TableHeader) -> None:
    path = toy_table.with_name(f"{toy_table.name}.json")
    header = json.loads(path.read_text())
    if changed.get("correction"):
        changed = {"correction": header["correction"] | changed["correction"]}
    path.write_text(json.dumps(header | changed))
    with pytest.raises(NasError):
        LatencyTable.load("cpu")


def test_a_space_that_has_changed_since_is_refused(toy_table: Path, toy: SearchSpace) -> None:
    table = LatencyTable.load("cpu")
    check_space(table, toy)
    with pytest.raises(NasError, match="was made for toy"):
        check_space(table, toy.with_classes(7))


def test_a_table_of_another_kind_of_cpu_is_foreign(toy_table: Path, toy_header: TableHeader) -> None:
    table, here = LatencyTable.load("cpu"), toy_header.fingerprint
    assert not is_foreign("cpu", table.header.fingerprint, Device("cpu", "cpu", here | {"cores": 64}))
    assert is_foreign("cpu", table.header.fingerprint, Device("cpu", "cpu", here | {"model": "another CPU"}))
    assert is_foreign("cpu", table.header.fingerprint, Device("cpu", "cpu", here | {"flags": []}))


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        (
            Latency(0.84, 0.80, 0.88, "measured"),
            "840 us (table of measured blocks, cpu onnxruntime fp32 batch 1; 90 % interval 800-880 us)",
        ),
        (
            Latency(1.0, 0.9, 1.11, "predicted"),
            "1 ms (predicted for cpu, fp32, batch 1; 90 % interval 900 us-1.11 ms; never measured)",
        ),
    ],
)
def test_a_latency_reaches_people_with_its_origin(latency: Latency, expected: str, toy_header: TableHeader) -> None:
    assert describe(latency, toy_header.scope) == expected
