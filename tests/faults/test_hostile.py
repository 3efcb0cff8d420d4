"""Files made to do harm: what is in them is refused or written down harmlessly, and never executed."""

from __future__ import annotations

import ast
import csv
import io
import json
import pickle
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.config import read_config
from nas.data.image_folder import open_picture
from nas.errors import NasError
from nas.files import read_json, sealed, write_csv, write_json, write_text
from nas.hardware.prediction.data_sheet import read_spec
from nas.nn.timm_model import build_reference, parse_reference, weights_file
from nas.report.compared_network import COLUMNS
from nas.run.run import load_supernet
from nas.space.search_space import SearchSpace
from nas.workflows.train_supernet.warm_start import warm_start

ROOT = Path(__file__).parents[2]
RUN = Path("runs/tiny")
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


class Harm:
    """Executes code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def pickled(marker: Path, form: str) -> bytes:
    if form == "pickle":
        return pickle.dumps(Harm(marker))
    found = io.BytesIO()
    torch.save({"weight": Harm(marker)}, found)
    return found.getvalue()


def test_the_harm_of_these_tests_is_real(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path / "harmed", "pickle"))
    assert (tmp_path / "harmed").exists()


RESUME = ("train-supernet", "--run", RUN, "--resume")
SEARCH = ("search", "--run", RUN, "--device", "cpu", "--budget", 5)
READERS = [  # a file of a run, and a command that reads it
    ("runs/tiny/run.json", SEARCH),
    ("runs/tiny/config.yaml", RESUME),
    ("runs/tiny/training.jsonl", RESUME),
    ("runs/tiny/supernet.safetensors", SEARCH),
    ("latency_tables/cpu/onnxruntime-fp32-b1-t1-toy.json", SEARCH),
    ("latency_tables/cpu/onnxruntime-fp32-b1-t1-toy.csv", SEARCH),
    ("runs/tiny/search/cpu/search.json", (*SEARCH, "--resume")),
    ("runs/tiny/search/cpu/evaluations.jsonl", (*SEARCH, "--resume")),
    ("runs/tiny/search/cpu/front.json", ("finetune", "--run", RUN)),
]


@pytest.mark.parametrize("form", ["pickle", "torch"])
@pytest.mark.parametrize(("file", "words"), READERS, ids=[Path(file).name for file, _ in READERS])
def test_a_pickle_in_the_place_of_a_file_of_a_run_is_refused_and_not_executed(
    file: str, words: tuple[Any, ...], form: str, workspace: Path, nas: Any
) -> None:
    harmed = workspace / "harmed"
    if "search/cpu" in file:
        assert nas(*SEARCH, "--quiet").code == 0
    Path(file).write_bytes(pickled(harmed, form) + b"\n")
    told = nas(*words, "--quiet")
    assert not harmed.exists()
    assert told.code == 3 and Path(file).name in told.err, told.err


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_both_states_of_a_training_being_pickles_are_refused(form: str, workspace: Path, nas: Any) -> None:
    for name in ("training_state.safetensors", "training_state.previous.safetensors"):
        (RUN / name).write_bytes(pickled(workspace / "harmed", form))
    told = nas(*RESUME, "--quiet")
    assert told.code == 3 and "no sound training state" in told.err
    assert not (workspace / "harmed").exists()


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_weights_that_are_given_may_be_no_pickle_with_code(form: str, workspace: Path) -> None:
    harmed, given = workspace / "harmed", Path("resnet10t.pth")
    given.write_bytes(pickled(harmed, form))
    reference = parse_reference("resnet10t", 32)
    with pytest.raises(NasError, match="holds more than tensors"):
        build_reference(reference, 10, weights_file(reference, Path()))
    with pytest.raises(NasError, match="is broken"):
        warm_start(load_supernet(RUN), given)
    assert not harmed.exists()


def test_nothing_in_the_package_reads_what_may_execute_code() -> None:
    for path in (ROOT / "nas").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called, given = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
            assert called not in ("eval", "exec", "pickle.load", "pickle.loads", "os.system"), path
            assert called != "torch.load" or given.get("weights_only") == "True", path
            assert not called.startswith("yaml.") or "load" not in called, f"{path}: read by nas.yaml_reader"
            assert "allow_pickle" not in given and "shell" not in given, path


BOMBS = {
    "billion laughs": LAUGHS,
    "a list that holds itself": "a: &a [*a]\n",
    "a mapping that holds itself": "a: &a {b: *a}\n",
    "a deep list": "a: " + "[" * 100_000,
    "a deep chain of aliases": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000)),
    "too long": "a: " + "x" * 3_000_000,
    "an object": "a: !!python/object/apply:os.abort []\n",
    "no text": "\x00\x01",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("reader", [read_config, SearchSpace.load, read_spec])
def test_yaml_that_would_fill_memory_is_refused(reader: Any, bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMBS[bomb], encoding="utf-8")
    with pytest.raises(NasError, match=r"bomb\.yaml"):
        reader(path)


def test_aliases_in_reason_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &a [1, 2]\nb: [*a, *a]\n", encoding="utf-8")
    assert read_config(path) == {"a": [1, 2], "b": [[1, 2], [1, 2]]}


@pytest.mark.parametrize("name", ["../other", "/etc", "..", "a/b", "", "x" * 300, "a\nb", ".hidden"])
def test_no_name_leads_out_of_its_folder(name: str, workspace: Path, nas: Any) -> None:
    before = {path for path in workspace.parent.rglob("*") if path.is_file()}
    quick = ("--space", "toy", "--backend", "eager", "--validate", 0, "--quiet")
    for words in (
        ("profile", "--device", name, *quick),
        ("search", "--run", RUN, "--device", name, "--budget", 5),
        ("compare", "--run", RUN, "--device", name),
    ):
        assert nas(*words).code == 3
    space = json.dumps({**read_json(RUN / "run.json")["space_definition"], "name": name})
    Path("space.yaml").write_text(space, encoding="utf-8")
    assert nas("profile", "--device", "box", *quick, "--space", "space.yaml").code == 3
    Path("space.yaml").unlink()
    assert {path for path in workspace.parent.rglob("*") if path.is_file() and path.name != ".lock"} <= before


def test_the_id_of_a_front_that_is_a_path_is_refused(workspace: Path, nas: Any) -> None:
    assert nas(*SEARCH, "--quiet").code == 0
    path = RUN / "search/cpu/front.json"
    found = read_json(path)
    found["front"][0]["id"] = "../../../x"
    write_json(path, found)
    for command in ("finetune", "report", "export"):
        told = nas(command, "--run", RUN, "--quiet")
        assert told.code == 3 and "front.json has the id" in told.err


def test_a_front_whose_architecture_was_exchanged_is_refused(workspace: Path, nas: Any) -> None:
    assert nas(*SEARCH, "--quiet").code == 0
    path = RUN / "search/cpu/front.json"
    found = read_json(path)
    toy, row = SearchSpace.load("toy"), found["front"][0]
    row["architecture"] = next(each for each in toy.everything() if each.id != row["id"]).to_json()
    write_json(path, found)
    told = nas("finetune", "--run", RUN, "--quiet")
    assert told.code == 3 and "its architecture" in told.err


class Elements(HTMLParser):
    """Counts the elements of a page that do something, and collects the attributes that would."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        self.active += [tag] if tag in ("script", "img", "iframe", "object", "embed", "base", "link") else []
        self.handlers += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]


def active_elements(page: str) -> tuple[list[str], list[str]]:
    found = Elements()
    found.feed(page)
    return sorted(found.active), found.handlers


def test_names_of_a_run_are_text_in_its_report(workspace: Path, nas: Any) -> None:
    assert nas(*SEARCH, "--quiet").code == 0
    row = {"name": "net", "kind": "hand-designed", "id": "net", "accuracy": 0.9, "latency_ms": 1.0, "epochs": 3}
    row |= {"num_params": 1000, "macs": 2000, "recipe": "plain", "source": "here", "verdict": "better"}
    write_csv(RUN / "compare.csv", [row], COLUMNS)
    assert nas("report", "--run", RUN, "--quiet").code == 0
    harmless = active_elements((RUN / "report.html").read_text(encoding="utf-8"))
    assert harmless[1] == []

    texts = ("name", "id", "recipe", "source", "verdict")
    write_csv(RUN / "compare.csv", [{**row, **{name: f"{name}{SCRIPT}" for name in texts}}], COLUMNS)
    manifest = read_json(RUN / "run.json")
    spoiled = {name: f"{value}{SCRIPT}" if isinstance(value, str) and name != "created" else value
               for name, value in manifest.items()}  # fmt: skip
    write_text(RUN / "run.json", json.dumps({**spoiled, SCRIPT: SCRIPT}))
    for file in ("front.json", "search.json"):
        found = read_json(RUN / "search/cpu" / file)
        write_json(RUN / "search/cpu" / file, {**found, SCRIPT: SCRIPT, "algorithm": SCRIPT})
    log = RUN / "search/cpu/evaluations.jsonl"
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    log.write_text(
        "".join(sealed(json.dumps({**each, "provenance": SCRIPT})) + "\n" for each in rows), encoding="utf-8"
    )
    told = nas("report", "--run", RUN, "--quiet")
    assert told.code == 0, told.err
    page = (RUN / "report.html").read_text(encoding="utf-8")
    assert active_elements(page) == harmless
    assert "name&quot;&gt;&lt;script&gt;" in page  # it is shown, as text


def test_no_text_in_a_table_is_a_formula(tmp_path: Path) -> None:
    texts = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "a\r=1", "plain", "'=1"]
    write_csv(
        tmp_path / "table.csv",
        [{"name": text, "value": -0.5, "count": -3} for text in texts],
        ("name", "value", "count"),
    )
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not [row for row in rows if row["name"][0] in "=+-@\t\r"]
    assert [row["name"].removeprefix("'") for row in rows] == [
        text.removeprefix("'").replace("\r", " ") for text in texts
    ]
    assert {(row["value"], row["count"]) for row in rows} == {("-0.5", "-3")}  # numbers stay numbers


def png(width: int, height: int) -> bytes:
    """A black picture of a few bytes that claims any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * min(height, 8000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (12_000, 12_000), (8_000, 8_000), (2**31 - 1, 1)])
def test_a_picture_that_would_fill_memory_is_refused(width: int, height: int) -> None:
    with pytest.raises(NasError, match=r"cannot read the image 'bomb\.png'"):
        open_picture(io.BytesIO(png(width, height)), "bomb.png")
    assert open_picture(io.BytesIO(png(64, 48)), "small.png").size == (64, 48)


def test_a_header_of_a_safetensors_file_that_claims_all_memory_is_refused(workspace: Path, nas: Any) -> None:
    (RUN / "supernet.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    told = nas(*SEARCH, "--quiet")
    assert told.code == 3 and re.search("is broken|missing", told.err)
