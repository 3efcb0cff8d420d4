"""Whatever a file or an option holds: it is read, or refused with what is wrong. Nothing else comes out of a reader."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.config import TrainingOptions, make_settings, parse_overrides, read_config
from nas.errors import NasError
from nas.files import read_json, read_jsonl, sealed
from nas.hardware.table.latency_table import LatencyTable
from nas.run.evaluations import evaluation_of, metrics_of, read_evaluations
from nas.search.evaluation_row import COLUMNS, front_of
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace, parse_space
from nas.space.space_file import shipped_spaces
from nas.training.network import Recipe
from nas.training.supernet.recipe import SupernetRecipe
from nas.units import parse_bytes, parse_count, parse_milliseconds

STRANGE = [
    *("[", "]", "{", "}", ":", "- ", ",", "&a ", "*a", "<<: *a", "!!python/object/apply:os.abort []", "!!binary x"),
    *("9" * 5000, "1e999", "-1", "0", ".nan", ".inf", "-.inf", "NaN", "null", "true", "2020-99-99", "0x", "1_0", "~"),
    *("[" * 3000, '{"a":' * 3000, "\x00", "\ud800", "\u2028", '"', "'", "\n", "|\n", "? ", "../../x", "%", "\\"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=5,
)
MANY = 10_000
WORKSPACE: dict[str, Path] = {}


def spoiled(text: str) -> st.SearchStrategy[str]:
    """Texts in which some places of a good one are replaced by something strange, cut out or doubled."""
    place = st.integers(0, len(text))
    edits = st.lists(
        st.tuples(place, st.integers(0, 12), st.sampled_from(STRANGE) | st.text(max_size=4)), min_size=1, max_size=2
    )

    def edit(edits: list[tuple[int, int, str]]) -> str:
        found = text
        for start, length, new in edits:
            found = found[:start] + new + found[start + length :]
        return found

    return edits.map(edit)


def with_wrong_value(good: Any) -> st.SearchStrategy[Any]:
    """Values like a good one in which one part, however deep, is any JSON value, or is missing."""
    if isinstance(good, dict) and good:
        keys = st.sampled_from(sorted(good))
        inner = keys.flatmap(lambda key: with_wrong_value(good[key]).map(lambda value: {**good, key: value}))
        return inner | keys.map(lambda key: {name: value for name, value in good.items() if name != key}) | VALUES
    if isinstance(good, list) and good:
        places = st.integers(0, len(good) - 1)
        return places.flatmap(lambda i: with_wrong_value(good[i]).map(lambda value: [*good[:i], value, *good[i + 1 :]]))
    return VALUES


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path) -> None:
    WORKSPACE["folder"] = tmp_path


def file_of(text: str, name: str) -> Path:
    path = WORKSPACE["folder"] / name
    path.write_bytes(text.encode(errors="surrogatepass"))
    return path


@cache
def toy() -> SearchSpace:
    return SearchSpace.load("toy")


def read_space(text: str) -> None:
    space = parse_space(text, "fuzzed.yaml")
    assert space.smallest() in space


def read_table(files: tuple[str, str, bool]) -> None:
    """Read a header and rows, of which the checksum is made to fit or not."""
    header, rows, fits = files
    body = rows.encode(errors="surrogatepass")
    if fits:
        header = header.replace("CHECKSUM", hashlib.sha256(body).hexdigest())
    file_of(rows, "table.csv")
    table = LatencyTable.load(file_of(header, "table.json"))
    table.predict(toy().smallest())


@cache
def good_table() -> tuple[dict[str, Any], str]:
    """A header and rows that fit the toy space."""
    from nas.hardware.table.header import header_from_json
    from nas.hardware.table.table_file import Row, write_table

    rows = {op.key: Row(0.1, 0.1, 0.1, 9, 3, 0.01, 1000, "measured", 0.01) for op in toy().operators()}
    text = {"unit": "ms", "per": "batch", "provenance": "measured", "device": "cpu", "device_kind": "cpu"}
    text |= {"backend": "eager", "dtype": "fp32", "space": "toy", "space_hash": toy().hash}
    header = {"schema_version": 1, **text, "fingerprint": {}, "batch": 1, "threads": 1, "validation": {}}
    header |= {"space_definition": toy().to_dict(), "num_classes": 10, "null_ms": 0.001, "sigma_sys": 0.04}
    header |= {"correction": {"form": "scale", "a": 0.0, "b": 1.1, "c": 0.0, "n_fit": 10}}
    stem = WORKSPACE["folder"] / "good"
    content = {**header, "csv_sha256": "CHECKSUM"}
    write_table(header_from_json(content, stem), rows, stem)
    return content, stem.with_suffix(".csv").read_text()


def tables() -> st.SearchStrategy[tuple[str, str, bool]]:
    header, rows = good_table()
    headers = with_wrong_value(header).map(json.dumps) | spoiled(json.dumps(header))
    cells = list(csv.reader(io.StringIO(rows)))
    places = st.tuples(st.integers(0, len(cells) - 1), st.integers(0, len(cells[0]) - 1))

    def put(change: tuple[tuple[int, int], str]) -> str:
        (i, j), value = change
        changed = [[value if (i, j) == (row, column) else cell for column, cell in enumerate(each)]
                   for row, each in enumerate(cells)]  # fmt: skip
        return "\n".join(map(",".join, changed)) + "\n"

    bodies = st.tuples(places, st.sampled_from(STRANGE) | st.text(max_size=4)).map(put) | spoiled(rows)
    whole = st.just(json.dumps(header))
    return st.tuples(headers, st.just(rows), st.just(True)) | st.tuples(whole, bodies, st.booleans())


def decode(genome: Any) -> None:
    architecture = toy().decode(genome)
    assert architecture in toy()


def genomes() -> st.SearchStrategy[Any]:
    genes = len(toy().cardinalities)
    return (
        st.lists(st.integers(-3, 9), min_size=genes, max_size=genes).map(np.array)
        | st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(), max_size=genes + 2)
        | st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=2), max_size=3).map(np.array)
    )


def read_architecture(text: str) -> None:
    architecture = Architecture.from_json(text)
    if architecture in toy():
        architecture_cost(architecture, 10)


def replay(text: str) -> None:
    """Do with evaluations.jsonl what `nas search --resume`, and with one row what a front's readers do."""
    path = file_of(text, "evaluations.jsonl")
    rows = read_evaluations(path, repair=True)
    metrics_of(rows, toy())
    front_of(rows)
    assert len(read_jsonl(path)) == len(rows)


@cache
def good_row() -> dict[str, Any]:
    architecture = toy().largest()
    row = dict.fromkeys(COLUMNS, 1.0) | {"id": architecture.id, "provenance": "measured", "feasible": True}
    row |= {"architecture": architecture.to_json(), "resolution": architecture.resolution, "latency_measured_ms": None}
    return {**row, "accuracy": 0.5, "accuracy_share": 1.0, "counted": [[5, 10]]}


def journals() -> st.SearchStrategy[str]:
    line = sealed(json.dumps(good_row())) + "\n"
    wrong = with_wrong_value(good_row()).map(
        lambda row: sealed(json.dumps(row)) + "\n" if isinstance(row, dict) else "7\n"
    )
    architecture = with_wrong_value(toy().largest().to_dict()).map(
        lambda found: sealed(json.dumps({**good_row(), "architecture": json.dumps(found)})) + "\n"
    )
    return st.lists(wrong | architecture | spoiled(line), max_size=3).map("".join)


def read_settings(text: str) -> None:
    """Do what `nas train-supernet --config` and `nas finetune --recipe` do with a file."""
    options = read_config(file_of(text, "config.yaml"))
    chosen = make_settings(TrainingOptions, options)
    make_settings(SupernetRecipe, chosen.settings)


def read_recipe(text: str) -> None:
    make_settings(Recipe, read_config(file_of(text, "recipe.yaml")))


CONFIG = "space: toy\ndata: digits\nseed: 3\nsettings:\n  epochs: 2\n  learning_rate: 0.01\n  mixup: 0.1\n"
RECIPE = "epochs: 2\nlearning_rate: 0.001\nweight_decay: 0.05\ndistill: true\n"
UNITS = st.text(max_size=9) | spoiled("12.5ms") | spoiled("1e3 MiB") | spoiled(".5 us")


def readers() -> dict[str, tuple[Callable[[Any], Any], Callable[[], st.SearchStrategy[Any]]]]:
    return {
        "space": (read_space, lambda: spoiled(shipped_spaces()["toy"].read_text(encoding="utf-8"))),
        "space-values": (
            lambda value: read_space(json.dumps(value)),
            lambda: with_wrong_value(toy().to_dict()),
        ),
        "table": (read_table, tables),
        "genome": (decode, genomes),
        "architecture": (
            read_architecture,
            lambda: with_wrong_value(toy().largest().to_dict()).map(json.dumps) | spoiled(toy().largest().to_json()),
        ),
        "milliseconds": (lambda text: 0 < parse_milliseconds(text) < 1e400, lambda: UNITS),
        "count": (parse_count, lambda: UNITS),
        "bytes": (parse_bytes, lambda: UNITS),
        "evaluations": (replay, journals),
        "json": (lambda text: read_json(file_of(text, "run.json")), lambda: spoiled(sealed('{"seed": 1, "a": [1]}'))),
        "front-row": (
            lambda row: evaluation_of(read_json(file_of(json.dumps(row), "row.json"))),
            lambda: with_wrong_value(good_row()),
        ),
        "config": (read_settings, lambda: spoiled(CONFIG)),
        "recipe": (read_recipe, lambda: spoiled(RECIPE)),
        "overrides": (
            lambda text: make_settings(SupernetRecipe, {}, [text]),
            lambda: spoiled("epochs=20") | spoiled("learning_rate=1e-3") | st.text().map(lambda text: f"epochs={text}"),
        ),
        "override-values": (lambda text: parse_overrides([text]), lambda: spoiled("a=[1, {b: c}]")),
    }


@pytest.mark.parametrize("examples", [200, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", readers())
def test_whatever_comes_in_is_read_or_refused(name: str, examples: int) -> None:
    reader, inputs = readers()[name]

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=examples < 1000
    )
    @given(inputs())
    def is_read_or_refused(given: Any) -> None:
        try:
            reader(given)
        except NasError as error:
            assert len(str(error)) < 5000  # an error is to be read

    is_read_or_refused()
