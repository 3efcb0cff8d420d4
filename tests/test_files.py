import ast
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import NasError
from nas.files import (
    CHECKSUM,
    append_jsonl,
    locked,
    read_json,
    read_jsonl,
    write_bytes,
    write_csv,
    write_text,
)

ROOT = Path(__file__).parents[1]
WRITERS = ("files.py", "standalone.py", "reload.py")  # the last two run without this package


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opens_for_writing(node: ast.AST) -> bool:
    """Whether a call opens a file to write it: `open` with a mode that writes, or pathlib's short forms."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if isinstance(node.func, ast.Attribute) and name in ("write_text", "write_bytes", "touch"):
        return True
    modes = [*node.args, *(keyword.value for keyword in node.keywords)]
    texts = [mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
    return name == "open" and any(set(text) <= set("rwabxt+") and set(text) & set("wax+") for text in texts)


@pytest.mark.parametrize("path", sorted((ROOT / "nas").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_opens_a_file_for_writing(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert path.name in WRITERS or not [node.lineno for node in ast.walk(tree) if opens_for_writing(node)]


def test_a_file_is_replaced_whole_or_not_at_all(monkeypatch):
    path = Path("folder/file")
    write_bytes(path, b"old")

    def fails(descriptor):
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="disk is full"):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert [left.name for left in Path("folder").iterdir()] == ["file"]


def test_a_reader_with_the_old_file_open_keeps_it():
    path = Path("file")
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_broken_or_missing_json_says_what_to_do():
    with pytest.raises(NasError, match=r"gone.json is missing.*Run the command"):
        read_json(Path("gone.json"))
    Path("bad.json").write_text('{"a": ')
    with pytest.raises(NasError, match=r"bad.json is not JSON"):
        read_json(Path("bad.json"))


NAMES = st.text().filter(lambda name: name != CHECKSUM)  # the one name that a file keeps for itself
ROWS = st.lists(st.dictionaries(NAMES, st.integers() | st.floats(allow_nan=False) | st.text() | st.none()))


@given(rows=ROWS)
def test_appended_rows_are_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "new" / "rows.jsonl"
    assert read_jsonl(path) == []
    for row in rows:
        append_jsonl(path, row)
    assert read_jsonl(path) == rows


@pytest.mark.parametrize("kept", range(12))
def test_a_last_line_that_a_kill_cut_short_is_dropped_and_the_file_goes_on(kept):
    path = Path("rows.jsonl")
    append_jsonl(path, {"number": 1})
    whole = path.read_bytes()
    append_jsonl(path, {"number": 2})
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    torn = path.read_bytes()
    assert read_jsonl(path) == [{"number": 1}]
    assert path.read_bytes() == torn  # a reader, a report say, never writes
    assert read_jsonl(path, repair=True) == [{"number": 1}]
    assert path.read_bytes() == whole
    append_jsonl(path, {"number": 3})
    assert read_jsonl(path) == [{"number": 1}, {"number": 3}]


def test_a_first_line_cut_short_leaves_an_empty_file():
    Path("rows.jsonl").write_text('{"number')
    assert read_jsonl(Path("rows.jsonl"), repair=True) == []
    assert Path("rows.jsonl").read_bytes() == b""


def test_a_broken_line_in_the_middle_is_named():
    Path("rows.jsonl").write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(NasError, match="line 2 is not JSON"):
        read_jsonl(Path("rows.jsonl"))


def test_a_table_has_its_columns_in_order_and_empty_cells_where_nothing_is_known():
    rows = [{"b": None, "a": 0.1, "extra": 1}, {"a": {"y": 1, "x": [2]}, "b": True}]
    write_csv(Path("table.csv"), rows, ("a", "b"))
    assert Path("table.csv").read_bytes().splitlines()[0] == b"a,b"
    with Path("table.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {"a": "0.1", "b": ""}
    assert json.loads(second["a"]) == {"x": [2], "y": 1}


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_a_table_is_read_back_to_the_bit(tmp_path_factory, number):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    write_csv(path, [{"a": number}], ("a",))
    assert float(path.read_text().splitlines()[1]) == number


def test_a_second_process_cannot_write_to_a_run_that_is_locked(here):
    code = "from pathlib import Path; from nas.files import locked\nwith locked(Path('run')): pass"
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])

    def other():
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=here,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )

    with locked(Path("run")):
        blocked = other()
    assert "NasError: another nas command is writing to run" in blocked.stderr
    assert other().returncode == 0


def test_the_lock_is_released_when_the_work_fails():
    with pytest.raises(KeyError), locked(Path("run")):
        raise KeyError
    with locked(Path("run")):
        assert Path("run").is_dir()
