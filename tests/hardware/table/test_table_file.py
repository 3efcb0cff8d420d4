from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.hardware.table.header import TableHeader
from nas.hardware.table.table_file import COLUMNS, Row, read_table, shape_columns, write_table
from nas.shipped import SHIPPED_TABLES
from nas.space.operator import Operator, place_stem

POSITIVE = st.floats(1e-9, 1e6)
NOT_NEGATIVE = st.floats(0, 1e6)
ROWS = st.builds(
    Row,
    ms=POSITIVE,
    ms_p50=POSITIVE,
    ms_p95=POSITIVE,
    n_samples=st.integers(1, 1000),
    n_rounds=st.integers(1, 9),
    rel_noise=NOT_NEGATIVE,
    macs=st.integers(0, 10**12),
    provenance=st.sampled_from(["measured", "interpolated"]),
    sigma_rel=NOT_NEGATIVE,
)


def json_file(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.json")


def csv_file(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.csv")


def rewrite_header(stem: Path, **changed: Any) -> None:
    header = json.loads(json_file(stem).read_text()) | changed
    json_file(stem).write_text(json.dumps({name: value for name, value in header.items() if value is not ...}))


def rewrite_rows(stem: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of the CSV, and its hash in the header with them."""
    csv_file(stem).write_text("\n".join(change(csv_file(stem).read_text().splitlines())) + "\n")
    rewrite_header(stem, csv_sha256=hashlib.sha256(csv_file(stem).read_bytes()).hexdigest())


def with_cell(column: str, value: str) -> Callable[[list[str]], list[str]]:
    """Put `value` in a column of the first row."""

    def change(lines: list[str]) -> list[str]:
        cells = lines[1].split(",")
        cells[COLUMNS.index(column)] = value
        return [lines[0], ",".join(cells), *lines[2:]]

    return change


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(values=st.lists(ROWS, min_size=1, max_size=5))
def test_what_was_written_is_read_back_exactly(values: list[Row], toy_header: TableHeader, tmp_path: Path) -> None:
    rows = {f"conv|in={index}|out=8|grid=4|bits=fp": value for index, value in enumerate(values)}
    write_table(toy_header, rows, tmp_path / "a.b")  # a dot in a name is no suffix
    header, found = read_table(tmp_path / "a.b.json")
    assert found == rows
    assert replace(header, csv_sha256="") == toy_header


def test_the_same_table_is_the_same_bytes(toy_header: TableHeader, toy_rows: dict, tmp_path: Path) -> None:
    write_table(toy_header, toy_rows, tmp_path / "a")
    write_table(toy_header, dict(reversed(toy_rows.items())), tmp_path / "b")
    assert csv_file(tmp_path / "a").read_bytes() == csv_file(tmp_path / "b").read_bytes()
    assert json_file(tmp_path / "a").read_bytes() == json_file(tmp_path / "b").read_bytes()


def test_columns_spell_the_key_out() -> None:
    settings = (("directions", ("h", "v")), ("expansion", 2), ("heads", 4), ("kernel", 3), ("mode", "sum"))
    found = shape_columns(Operator("ssd", 32, 32, 8, (*settings, ("state", 16))).key)
    assert found == {
        "kind": "ssd",
        "in_c": "32",
        "out_c": "32",
        "grid": "8",
        "stride": "",
        "kernel": "3",
        "expansion": "2",
        "heads": "4",
        "state": "16",
        "directions": "h+v",
        "mode": "sum",
        "band": "",
        "scope": "",
        "bits": "fp",
        "batch": "",
    }
    assert shape_columns(Operator("downsample", 16, 32, 8).key)["stride"] == "2"
    assert shape_columns(place_stem("patch-16", 32, 224).key)["stride"] == "16"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"unit": "s"}, "unit"),
        ({"per": "image"}, "per"),
        ({"null_ms": -1.0}, "null_ms"),
        ({"null_ms": float("nan")}, "null_ms"),
        ({"sigma_sys": float("inf")}, "sigma_sys"),
        ({"sigma_sys": True}, "sigma_sys"),
        ({"batch": "1"}, "batch"),
        ({"batch": 8}, "batch"),
        ({"batch": 0}, "batch = 0"),
        ({"num_classes": -1}, "num_classes = -1"),
        ({"provenance": "guessed"}, "guessed"),
        ({"correction": {}}, r"onnxruntime-fp32-b1-t1-toy.json is damaged: the correction .* lacks a number"),
        ({"provenance": "predicted"}, "is measured in a table that is predicted"),
        ({"space_hash": ...}, "space_hash"),
        ({"correction": ...}, "correction"),
        ({"csv_sha256": "0" * 64}, "SHA-256"),
    ],
)
def test_a_wrong_header_is_refused_and_named(changed: dict[str, Any], word: str, toy_table: Path) -> None:
    rewrite_header(toy_table, **changed)
    with pytest.raises(NasError, match=word):
        read_table(json_file(toy_table))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda lines: [*lines, lines[1]], "twice"),
        (lambda lines: lines[:1], "no row"),
        (lambda lines: [lines[0].replace(",ms_p95", ""), *lines[1:]], "ms_p95"),
        (lambda lines: [lines[0].replace("ms_p50,ms_p95", "ms_p95,ms_p50"), *lines[1:]], "order"),
        (lambda lines: [lines[0], lines[1].rsplit(",", 2)[0], *lines[2:]], "line 2"),
        (lambda lines: [lines[0], f"{lines[1]},7", *lines[2:]], "line 2"),
        (with_cell("ms", "nan"), "ms = nan"),
        (with_cell("ms", "-0.1"), "ms = -0.1"),
        (with_cell("ms", "0.0"), "no time"),
        (with_cell("ms", ""), "not a number"),
        (with_cell("ms_p95", "inf"), "ms_p95"),
        (with_cell("n_samples", "many"), "n_samples"),
        (with_cell("provenance", "guessed"), "guessed"),
        (with_cell("provenance", "predicted"), "is predicted in a table that is measured"),
        (with_cell("batch", "8"), "batch"),
        (with_cell("sigma_rel", "nan"), "sigma_rel"),
        (with_cell("in_c", "999"), "in_c = '999', its key says"),
        (with_cell("kind", "other"), "kind = 'other', its key says"),
        (with_cell("key", "conv|nonsense"), "names no operator"),
        (lambda lines: [lines[0], f'"{lines[1]}"x', *lines[2:]], "is no CSV"),
    ],
)
def test_a_wrong_row_is_refused_and_named(change: Callable, word: str, toy_table: Path) -> None:
    rewrite_rows(toy_table, change)
    with pytest.raises(NasError, match=word):
        read_table(json_file(toy_table))


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_header_that_is_no_json_object_is_refused(text: str, toy_table: Path) -> None:
    json_file(toy_table).write_text(text)
    with pytest.raises(NasError, match="latency table"):
        read_table(json_file(toy_table))


def test_rows_that_are_no_text_are_refused(toy_table: Path) -> None:
    csv_file(toy_table).write_bytes(csv_file(toy_table).read_bytes() + b"\xff\n")
    rewrite_header(toy_table, csv_sha256=hashlib.sha256(csv_file(toy_table).read_bytes()).hexdigest())
    with pytest.raises(NasError, match="is no CSV in UTF-8"):
        read_table(json_file(toy_table))


def test_a_table_without_its_rows_is_refused(toy_table: Path) -> None:
    csv_file(toy_table).unlink()
    with pytest.raises(NasError, match="cannot be read"):
        read_table(json_file(toy_table))


@pytest.mark.parametrize("files_that_fit", [0, 1])
def test_a_full_disk_leaves_the_old_table_as_it_was(
    files_that_fit: int, toy_table: Path, toy_header: TableHeader, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in toy_table.parent.iterdir()}
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > files_that_fit:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_table(toy_header, {"conv|in=8|out=8|grid=4|bits=fp": Row(1, 1, 1, 1, 1, 0, 1, "measured", 0)}, toy_table)
    assert {path: path.read_bytes() for path in toy_table.parent.iterdir()} == before


def test_new_rows_beside_an_old_header_are_recognised(toy_table: Path, toy_header: TableHeader, toy_rows: dict) -> None:
    old = json_file(toy_table).read_bytes()
    toy_rows.popitem()
    write_table(toy_header, toy_rows, toy_table)
    json_file(toy_table).write_bytes(old)  # as a kill between the two moves would leave it
    with pytest.raises(NasError, match="SHA-256"):
        read_table(json_file(toy_table))


@pytest.mark.parametrize("path", sorted(SHIPPED_TABLES.glob("*/*.json")), ids=lambda path: path.stem)
def test_a_shipped_table_is_written_back_to_the_same_bytes(path: Path, tmp_path: Path) -> None:
    header, rows = read_table(path)
    write_table(header, rows, tmp_path / path.stem)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert csv_file(tmp_path / path.stem).read_bytes() == path.with_suffix(".csv").read_bytes()


@pytest.mark.parametrize("stem", ["a100-sxm4-80gb/cudagraph-bf16-b1-toy", "cpu-x86-avx512/onnxruntime-fp32-b1-t1-toy"])
def test_a_new_header_has_its_keys_in_the_order_of_a_shipped_one(stem: str) -> None:
    path = SHIPPED_TABLES / f"{stem}.json"
    new = replace(read_table(path)[0], key_order=())
    assert list(new.to_json()) == list(json.loads(path.read_text()))
