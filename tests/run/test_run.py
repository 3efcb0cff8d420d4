import os
import shutil
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.files import read_json, write_json
from nas.run.manifest import new_manifest
from nas.run.run import Run, all_runs, load_supernet
from nas.space.search_space import SearchSpace

NOW = datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def manifest_of(space):
    return new_manifest(
        command="nas train-supernet --space toy",
        now=NOW,
        number=3,
        seed=7,
        space=space,
        data="digits",
        recipe={"epochs": 2},
        sources={},
        machine={"model": "a CPU"},
    )


def test_a_manifest_is_read_back_and_says_versions_and_machine(toy):
    run = Run.create(None, "train-supernet", NOW)
    run.write_manifest(manifest_of(toy))
    assert Run.find() == run and run.manifest == manifest_of(toy)
    written = read_json(run.path / "run.json")
    assert list(written)[:6] == ["schema_version", "command", "created", "number", "seed", "space"]
    assert (written["seed"], written["space"], written["created"]) == (7, "toy", "2026-01-02T03:04:05")
    assert written["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert run.space() == toy and run.space().hash == run.manifest.space_hash
    assert all_runs() == [run] and run.next_number() == 4


def test_a_manifest_of_a_version_that_knew_less_is_read(toy):
    older = {name: value for name, value in manifest_of(toy).to_json().items() if name not in ("number", "sources")}
    write_json(Path("runs/old/run.json"), older)
    assert Run.find().manifest == replace(manifest_of(toy), number=0)


def test_a_folder_whose_manifest_names_no_space_is_no_run_to_work_on():
    write_json(Path("runs/one/run.json"), {"created": "2026"})
    with pytest.raises(NasError, match="names no search space"):
        Run.find().space()


def test_the_newest_finished_search_is_found():
    run = Run(Path("runs/one"))
    write_json(run.path / "run.json", {"created": "2026"})
    with pytest.raises(NasError, match=r"no finished search.*nas search"):
        run.newest_search()
    for age, device in enumerate(("cpu", "phone", "gpu")):
        path = run.search(device).summary_path
        write_json(path, {})
        os.utime(path, (1000 - age, 1000 - age))
    run.search("unfinished").path.mkdir()
    assert run.newest_search() == run.search("cpu")
    assert [search.path.name for search in run.searches()] == ["cpu", "gpu", "phone"]


def test_the_supernet_of_a_run_is_loaded_by_its_path(trained_folder):
    shutil.copytree(trained_folder / "runs", "runs")
    assert load_supernet().space == load_supernet("runs/tiny").space == SearchSpace.load("toy")
