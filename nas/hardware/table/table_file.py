"""A latency table on disk: rows as CSV, and a JSON header that says what they mean. Strict to read, atomic to write."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from nas.files import write_together
from nas.hardware.table.header import LARGEST, PROVENANCES, TableHeader, broken, header_from_json

SHAPE_COLUMNS: tuple[str, ...] = (
    "kind",
    "in_c",
    "out_c",
    "grid",
    "stride",
    "kernel",
    "expansion",
    "heads",
    "state",
    "directions",
    "mode",
    "band",
    "scope",
    "bits",
    "batch",
)
STRIDES = {"stem": "2", "double-stem": "4", "downsample": "2"}
NAMES_IN_KEY = {"in_c": "in", "out_c": "out"}
MEASURED_COLUMNS = ("ms", "ms_p50", "ms_p95", "n_samples", "n_rounds", "rel_noise", "macs", "provenance", "sigma_rel")
COLUMNS = ("key", *SHAPE_COLUMNS, *MEASURED_COLUMNS)


@dataclass(frozen=True, slots=True)
class Row:
    """One operator: milliseconds per batch with their noise, its cost, its origin and 1-sigma relative uncertainty."""

    ms: float
    ms_p50: float
    ms_p95: float
    n_samples: int
    n_rounds: int
    rel_noise: float
    macs: int
    provenance: str
    sigma_rel: float


ROW_TYPES = get_type_hints(Row)
assert tuple(field.name for field in fields(Row)) == MEASURED_COLUMNS


def shape_columns(key: str) -> dict[str, str]:
    """Spell an operator's key out as columns; what an operator does not have stays empty."""
    kind, *parts = key.split("|")
    settings = dict(part.split("=", 1) for part in parts)
    stride = settings.get("patch") or STRIDES.get(kind)
    settings |= {"stride": stride} if stride else {}
    return {"kind": kind} | {name: settings.get(NAMES_IN_KEY.get(name, name), "") for name in SHAPE_COLUMNS[1:]}


def write_table(header: TableHeader, rows: dict[str, Row], path: Path) -> TableHeader:
    """Write `path` .csv and .json, both complete before either takes its place; return the header as it is written.

    The header holds the SHA-256 of the rows; a pair torn between the two moves is recognised when it is read.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for key in sorted(rows):
        measured = {name: getattr(rows[key], name) for name in MEASURED_COLUMNS}
        writer.writerow({"key": key} | shape_columns(key) | {"batch": header.batch} | measured)
    body = text.getvalue().encode()
    written = replace(header, csv_sha256=hashlib.sha256(body).hexdigest())
    head = json.dumps(written.to_json(), indent=1, allow_nan=False) + "\n"
    write_together({path.with_name(f"{path.name}.csv"): body, path.with_name(f"{path.name}.json"): head.encode()})
    return written


def read_header(path: Path) -> TableHeader:
    """Read and check a table's .json; `NasError` where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise broken(path, f"cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise broken(path, "is not a JSON object")
    return header_from_json(content, path)


def read_table(path: Path) -> tuple[TableHeader, dict[str, Row]]:
    """Read and check the table whose header is `path` (.json); `NasError` at the first fault, never half a table."""
    header, body_path = read_header(path), path.with_suffix(".csv")
    try:
        body = body_path.read_bytes()
    except OSError as error:
        raise broken(body_path, f"cannot be read: {error}") from error
    if hashlib.sha256(body).hexdigest() != header.csv_sha256:
        raise broken(body_path, "does not belong to its header: its SHA-256 is another than the header says")
    try:
        rows = read_rows(body.decode(), header, body_path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise broken(body_path, f"is no CSV in UTF-8: {error}") from error
    if not rows:
        raise broken(body_path, "holds no row")
    return header, rows


def read_rows(text: str, header: TableHeader, path: Path) -> dict[str, Row]:
    """Read the rows of a table's CSV by key; `NasError` at the first fault."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        wrong = sorted(set(COLUMNS) ^ set(reader.fieldnames or ())) or ["the order"]
        raise broken(path, f"has other columns than this version reads: {', '.join(map(str, wrong))}")
    rows: dict[str, Row] = {}
    for number, record in enumerate(reader, start=2):
        if record["key"] in rows:
            raise broken(path, f"names '{record['key']}' twice (line {number})")
        rows[record["key"]] = read_row(record, header, f"{path}, line {number}")
    return rows


def read_row(record: dict[str, str], header: TableHeader, where: str) -> Row:
    """Turn a CSV record into a `Row`; `NasError` where a number is missing, negative or not finite."""
    values: dict[str, Any] = {}
    if None in record:
        raise broken(Path(where), "has more cells than there are columns")
    for name, kind in ROW_TYPES.items():
        try:
            values[name] = kind(record[name])
        except (TypeError, ValueError) as error:
            raise broken(Path(where), f"has {name} = {record[name]!r}, which is not a number") from error
        if kind is not str and not 0 <= values[name] <= LARGEST:
            raise broken(Path(where), f"has {name} = {record[name]}, which is not a number from 0 up")
    if not values["ms"] > 0:
        raise broken(Path(where), f"has ms = {record['ms']}: no operator takes no time")
    if values["provenance"] not in PROVENANCES:
        raise broken(Path(where), f"has provenance {record['provenance']!r}, not one of {', '.join(PROVENANCES)}")
    if (values["provenance"] == "predicted") != (header.provenance == "predicted"):
        raise broken(Path(where), f"is {record['provenance']} in a table that is {header.provenance}")
    try:
        spelled_out = shape_columns(record["key"]) | {"batch": str(header.batch)}
    except ValueError as error:
        raise broken(Path(where), f"has the key {record['key']!r}, which names no operator") from error
    for name, spelled in spelled_out.items():
        if record[name] != spelled:
            says = "the header" if name == "batch" else "its key"
            raise broken(Path(where), f"has {name} = {record[name]!r}, {says} says {spelled!r}")
    return Row(**values)
