from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.progress import Console
from nas.run.search_settings import Limits, SearchSettings
from nas.space.search_space import SearchSpace
from nas.workflows.requests import SearchRequest
from nas.workflows.search.command import search
from nas.workflows.tables import table_of

QUIET = Console(quiet=True)
TOY = SearchSpace.load("toy")


def test_a_shipped_space_has_its_a100_table(workspace: Path) -> None:
    table = table_of("a100", TOY, QUIET)
    assert (table.header.device, table.header.provenance) == ("a100-sxm4-80gb", "predicted")
    assert not (workspace / "latency_tables" / "a100-sxm4-80gb").exists()


def test_a_space_without_a_table_gets_a_predicted_one_that_is_kept(workspace: Path) -> None:
    space = TOY.with_classes(7)
    table = table_of("a100", space, QUIET)
    (kept,) = (workspace / "latency_tables" / "a100-sxm4-80gb").glob("*.json")
    assert json.loads(kept.read_text())["num_classes"] == 7
    before = kept.stat().st_mtime_ns
    assert table_of("a100", space, QUIET) == table
    assert kept.stat().st_mtime_ns == before
    assert table_of("a100", TOY, QUIET).header.num_classes == 10


def test_any_device_with_a_data_sheet_can_be_searched(workspace: Path) -> None:
    for device, dtype in (("h200", "bf16"), ("t4", "fp16")):
        header = table_of(device, TOY, QUIET).header
        assert (header.device, header.dtype) == (device, dtype)
        assert "uncalibrated" in header.evidence["prediction"]["basis"]


def test_a_measured_table_replaces_the_predicted_one(workspace: Path, write_toy_table) -> None:
    assert table_of("a100", TOY, QUIET).header.provenance == "predicted"
    write_toy_table(workspace, device="a100-sxm4-80gb")
    assert table_of("a100", TOY, QUIET).header.provenance == "measured"
    assert table_of("a100", TOY, QUIET, measured_only=True).header.provenance == "measured"


def test_measured_only_refuses_what_is_predicted_and_names_the_remedy(workspace: Path) -> None:
    for device in ("a100", "h200"):
        with pytest.raises(NasError, match=f"nas profile --device {device}"):
            table_of(device, TOY, QUIET, measured_only=True)
    assert table_of("cpu", TOY, QUIET, measured_only=True).header.device == "cpu"


def test_a_device_that_nobody_knows_is_refused(workspace: Path) -> None:
    with pytest.raises(NasError, match=r"no latency table for device 'cpx'.*nas profile --device cpx"):
        table_of("cpx", TOY, QUIET)
    with pytest.raises(NasError, match="was made for toy"):
        table_of("cpu", TOY.with_classes(7), QUIET)


def test_a_search_for_an_a100_works_as_it_stands_and_says_predicted(workspace: Path, capsys) -> None:
    settings = SearchSettings(limits=Limits(max_latency_ms=5.0), budget=30)
    request = SearchRequest(run=Path("runs/tiny"), devices=["a100"], settings=settings)
    found = search(request, Console(quiet=False)).to_json()
    front = found["fronts"]["a100"]
    assert {row["provenance"] for row in front} == {"predicted"}
    assert all(row["latency_low_ms"] < row["latency_ms"] < row["latency_high_ms"] for row in front)
    assert "predicted for a100-sxm4-80gb, bf16, batch 1" in capsys.readouterr().err
    with pytest.raises(NasError, match="predicted"):
        search(replace(request, devices=["a100"], measured_only=True), QUIET)
