from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.hardware.table.latency_table import LatencyTable
from nas.space.search_space import SearchSpace
from nas.workflows.search.transfer_matrix import record_transfer, transfer_lines, transfer_matrix

TOY = SearchSpace.load("toy")


def member(architecture, accuracy):
    return SimpleNamespace(architecture=architecture, accuracy=accuracy)


@pytest.fixture
def tables(tmp_path, write_toy_table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_toy_table(tmp_path, device="one", seed=3)
    write_toy_table(tmp_path, device="two", seed=3, scale=3.0)
    return {name: LatencyTable.load(name) for name in ("one", "two")}


def test_a_front_is_worth_all_of_itself_on_its_own_device(tables):
    fronts = {name: [member(TOY.smallest(), 0.6), member(TOY.largest(), 0.9)] for name in tables}
    for row in transfer_matrix(fronts, tables, None):
        assert row.hypervolume_share == pytest.approx(1.0)
        assert (row.num_within_limit, row.num_networks, row.accuracy, row.own_accuracy) == (2, 2, 0.9, 0.9)


def test_a_worse_front_is_worth_less_and_members_over_the_limit_do_not_count(tables):
    fronts = {"one": [member(TOY.largest(), 0.9)], "two": [member(TOY.smallest(), 0.6), member(TOY.largest(), 0.9)]}
    found = {(row.front_of, row.used_on): row for row in transfer_matrix(fronts, tables, None)}
    assert found["one", "two"].hypervolume_share < 1 < found["two", "one"].hypervolume_share
    limit = tables["two"].predict(TOY.smallest()).ms * 1.01
    found = {(row.front_of, row.used_on): row for row in transfer_matrix(fronts, tables, limit)}
    lost = found["one", "two"]
    assert (lost.hypervolume_share, lost.accuracy, lost.num_within_limit) == (0.0, None, 0)
    assert "none within the limit (own 90.0%" in " ".join(transfer_lines(list(found.values())))


def test_one_device_has_nothing_to_compare(tables, tmp_path):
    assert (
        record_transfer(tmp_path / "search" / "transfer.csv", {"one": [member(TOY.smallest(), 0.5)]}, tables, None)
        == []
    )
    assert not (tmp_path / "search").exists()


def test_a_search_for_two_devices_says_what_each_front_is_worth_on_the_other(nas, workspace):
    told = nas("search", "--device", "cpu", "--device", "a100", "--budget", 8, "--json")
    assert told.code == 0, told.err
    rows = list(csv.DictReader(Path("runs/tiny/search/transfer.csv").read_text().splitlines()))
    assert {(row["front_of"], row["used_on"]) for row in rows} == {
        (first, second) for first in ("cpu", "a100") for second in ("cpu", "a100")
    }
    assert {row["used_on"]: row["provenance"] for row in rows} == {"cpu": "measured", "a100": "predicted"}
    assert all(float(row["hypervolume_share"]) == 1 for row in rows if row["front_of"] == row["used_on"])
    assert [row["front_of"] for row in json.loads(told.out)["transfer"]] == [row["front_of"] for row in rows]
    assert nas("report").code == 0
    page = Path("runs/tiny/report.html").read_text()
    assert "Fronts on each other" in page and "used on another reach at worst" in page
    said = nas("search", "--device", "cpu", "--device", "a100", "--budget", 8)
    assert "the front of cpu on a100:" in said.out
    assert "latencies on a100 predicted)" in said.out
    assert "predicted for a100-sxm4-80gb, bf16, batch 1; 90 % interval" in said.out
    assert "table of measured blocks, cpu onnxruntime fp32 batch 1; 90 % interval" in said.out
