from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.hardware.measurement.correction import Correction
from nas.hardware.table.header import TableHeader
from nas.hardware.table.table_file import Row, write_table
from nas.space.cost import macs
from nas.space.search_space import SearchSpace


@pytest.fixture(scope="session")
def toy() -> SearchSpace:
    return SearchSpace.load("toy")


@pytest.fixture
def toy_header(toy: SearchSpace) -> TableHeader:
    content: dict[str, Any] = {
        "schema_version": 1,
        "unit": "ms",
        "per": "batch",
        "provenance": "measured",
        "device": "cpu",
        "device_kind": "cpu",
        "fingerprint": {"model": "a CPU", "family": "6-1-1", "flags": ["avx2"], "cores": 2},
        "backend": "onnxruntime",
        "dtype": "fp32",
        "batch": 1,
        "threads": 1,
        "space": toy.name,
        "space_hash": toy.hash,
        "space_definition": toy.to_dict(),
        "num_classes": toy.num_classes,
        "null_ms": 0.002,
        "correction": Correction("scale", 0.0, 1.25, 0.0, 10),
        "sigma_sys": 0.04,
        "validation": {},
    }
    return TableHeader(**content)


@pytest.fixture
def toy_rows(toy: SearchSpace) -> dict[str, Row]:
    """A different time for every operator of the toy space."""
    noise = {"n_samples": 21, "n_rounds": 3, "rel_noise": 0.02, "provenance": "measured", "sigma_rel": 0.01}
    times = [(operator, 0.01 + 0.003 * index) for index, operator in enumerate(toy.operators())]
    return {
        operator.key: Row(ms=ms, ms_p50=1.1 * ms, ms_p95=1.3 * ms, macs=macs(operator), **noise)
        for operator, ms in times
    }


@pytest.fixture
def toy_table(
    toy_header: TableHeader, toy_rows: dict[str, Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The stem of a good table that lies in `latency_tables/cpu` of the current directory."""
    monkeypatch.chdir(tmp_path)
    stem = tmp_path / "latency_tables" / "cpu" / "onnxruntime-fp32-b1-t1-toy"
    write_table(toy_header, toy_rows, stem)
    return stem
