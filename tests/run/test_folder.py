from datetime import datetime
from pathlib import Path

import pytest

from nas.errors import NasError
from nas.files import write_json
from nas.run.folder import create_run, find_run, run_names

NOW = datetime(2026, 1, 2, 3, 4, 5)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(name, created):
    write_json(Path("runs") / name / "run.json", {"created": created})
    return Path("runs") / name


def test_a_new_run_is_named_after_time_and_command():
    assert create_run(None, "search", NOW) == Path("runs/2026-01-02-030405-search")
    assert create_run(Path("my/run"), "search", NOW).is_dir()


def test_a_folder_that_holds_a_run_is_not_taken_again():
    run = make_run("one", "2026")
    with pytest.raises(NasError, match=r"already holds a run.*--run runs/one --resume"):
        create_run(run, "search", NOW)


def test_a_folder_that_cannot_be_made_is_named():
    Path("file").write_text("")
    with pytest.raises(NasError, match=r"cannot make the folder file.*--run"):
        create_run(Path("file"), "search", NOW)


def test_the_newest_run_is_found_by_its_date_not_by_its_name():
    make_run("zzz", "2026-01-01T00:00:00")
    newest = make_run("aaa", "2026-03-01T00:00:00")
    make_run("mmm", "2026-02-01T00:00:00")
    Path("runs/no-run").mkdir()
    assert find_run(None) == newest
    assert run_names() == ["aaa", "mmm", "zzz"]
    assert find_run(Path("runs/zzz")) == Path("runs/zzz")


def test_a_run_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(NasError, match="Train one: nas train-supernet"):
        find_run(None)
    make_run("one", "2026")
    with pytest.raises(NasError, match="Runs here: one"):
        find_run(Path("runs/two"))
