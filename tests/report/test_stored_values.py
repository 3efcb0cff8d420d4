"""What is read from files becomes a value, or `NasError` names what is wrong."""

from __future__ import annotations

import pytest

from nas.errors import NasError
from nas.files import read_csv, write_csv
from nas.report import ReportData
from nas.report.audit import Audit
from nas.report.compared_network import COLUMNS, NUMBERS, ComparedNetwork
from nas.report.table_facts import TableFacts


def test_a_compared_network_is_read_as_it_was_written(complete: ReportData, tmp_path) -> None:
    path = tmp_path / "compare.csv"
    write_csv(path, [network.to_row() for network in complete.compare], COLUMNS)
    assert tuple(ComparedNetwork.from_row(row) for row in read_csv(path, NUMBERS)) == complete.compare


@pytest.mark.parametrize(
    ("column", "value"), [("accuracy", None), ("num_params", 1.5), ("macs", float("nan")), ("name", None)]
)
def test_a_wrong_value_of_a_compared_network_is_named_with_its_file(complete, tmp_path, column, value) -> None:
    path = tmp_path / "compare.csv"
    write_csv(path, [complete.compare[0].to_row() | {column: value}], COLUMNS)
    (row,) = read_csv(path, NUMBERS)
    with pytest.raises(NasError, match=rf"compare\.csv has {column} = "):
        ComparedNetwork.from_row(row)


def test_a_file_without_provenance_was_measured(complete: ReportData) -> None:
    row = complete.compare[0].to_row()
    del row["provenance"]
    assert ComparedNetwork.from_row(row).measured_ms == row["latency_ms"]


def test_another_device_shows_accuracies_only(complete: ReportData) -> None:
    (network, *_) = (ComparedNetwork.from_row(row.to_row() | {"device": "phone"}) for row in complete.compare)
    assert network.on("phone") is network
    elsewhere = network.on("cpu")
    assert elsewhere.accuracy == network.accuracy and elsewhere.latency_ms is elsewhere.provenance is None


def test_an_audit_or_a_header_that_lacks_a_part_is_refused() -> None:
    with pytest.raises(NasError, match="has ranking = None"):
        Audit.from_json({})
    with pytest.raises(NasError, match="has device = None"):
        TableFacts.from_header({})
