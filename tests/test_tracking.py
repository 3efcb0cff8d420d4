from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nas import tracking
from nas.errors import NasError
from nas.files import append_jsonl
from nas.tracking import TRACKERS, figures_of, tracked

Points = list[tuple[dict[str, float], int]]


class Recorder:
    """A tracker that remembers."""

    def __init__(self, points: Points) -> None:
        self.points, self.closed = points, False

    def log(self, figures: Mapping[str, float], step: int) -> None:
        assert not self.closed
        self.points.append((dict(figures), step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Points:
    """What a tracker called `memory` was given."""
    found: Points = []
    monkeypatch.setitem(tracking.TRACKERS, "memory", (lambda folder, name, facts: Recorder(found), "json"))
    monkeypatch.setattr(tracking, "SECONDS_BETWEEN_LOOKS", 0.001)
    return found


def test_every_row_is_tracked_once_in_its_order(points: Points, tmp_path: Path) -> None:
    file = tmp_path / "training.jsonl"
    with tracked("memory", tmp_path, {"training": file}, resume=False):
        for epoch in range(1, 40):
            append_jsonl(file, {"epoch": epoch, "loss": 1 / epoch, "note": "text", "best": None})
    assert points == [({"training/epoch": e, "training/loss": 1 / e}, e) for e in range(1, 40)]


def test_what_was_written_before_is_tracked_only_by_a_command_that_resumes(points: Points, tmp_path: Path) -> None:
    file = tmp_path / "evaluations.jsonl"
    append_jsonl(file, {"accuracy": 0.1})
    with tracked("memory", tmp_path, {"search/cpu": file}, resume=False):
        file.rename(tmp_path / "kept.jsonl")  # as a new search does with the one before
        append_jsonl(file, {"accuracy": 0.2})
    assert points == [({"search/cpu/accuracy": 0.2}, 1)]
    points.clear()
    with tracked("memory", tmp_path, {"search/cpu": file}, resume=True):
        append_jsonl(file, {"accuracy": 0.3})
    assert points == [({"search/cpu/accuracy": 0.2}, 1), ({"search/cpu/accuracy": 0.3}, 2)]


def test_a_tracker_that_fails_is_told_after_the_work_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*facts: Any) -> Recorder:
        raise ConnectionError("no server")

    monkeypatch.setitem(tracking.TRACKERS, "broken", (broken, "json"))
    done = []
    with pytest.raises(ConnectionError, match="no server"), tracked("broken", tmp_path, {"a": tmp_path / "a"}, False):
        append_jsonl(tmp_path / "a", {"x": 1})
        done.append(True)
    assert done


def test_without_a_tracker_or_rows_nothing_is_made(tmp_path: Path) -> None:
    for name in (None, "tensorboard"):
        with tracked(name, tmp_path, {"a": tmp_path / "a"}, False):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_is_not_there_names_the_close_match_or_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NasError, match="Did you mean 'tensorboard'"), tracked("tensorbord", tmp_path, {}, False):
        pass
    monkeypatch.setitem(tracking.TRACKERS, "wandb", (TRACKERS["wandb"][0], "no_such_package"))
    with pytest.raises(NasError, match="pip install no_such_package"), tracked("wandb", tmp_path, {}, False):
        pass


def test_only_numbers_are_figures() -> None:
    assert figures_of("a", {"x": 1, "y": 0.5, "z": "text", "w": None, "ok": True}) == {"a/x": 1, "a/y": 0.5, "a/ok": 1}


def read_events(path: Path) -> list[Any]:
    """Read TensorBoard's event file: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, place, events = path.read_bytes(), 0, []
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        events.append(Event.FromString(data[place + 12 : place + 12 + length]))
        place += 16 + length
    return events


def test_a_search_is_shown_by_tensorboard(nas: Any, workspace: Path) -> None:
    assert nas("search", "--device", "cpu", "--budget", 8, "--track", "tensorboard", "--quiet").code == 0
    (file,) = (workspace / "runs/tiny/tracking/tensorboard").iterdir()
    points = {
        (value.tag, event.step): value.simple_value
        for event in read_events(file)
        for value in event.summary.value
        if value.HasField("simple_value")
    }
    steps = [step for tag, step in points if tag == "search/cpu/accuracy"]
    assert steps == list(range(1, 9))
    assert all(0 <= points["search/cpu/accuracy", step] <= 1 for step in steps)


@pytest.mark.filterwarnings("default")  # of its own making
def test_mlflow_keeps_a_run_in_a_local_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = tracking.MLflow(tmp_path, "a run", {"run": "runs/a"})
    for step in (1, 2):
        tracker.log({"training/loss": 1 / step}, step)
    tracker.close()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("nas").experiment_id])
    history = client.get_metric_history(found.info.run_id, "training/loss")
    assert [(each.step, each.value) for each in history] == [(1, 1.0), (2, 0.5)]
    assert found.data.params == {"run": "runs/a"}


@pytest.mark.filterwarnings("default")
def test_wandb_writes_a_run_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    tracker = tracking.WeightsAndBiases(tmp_path, "a run", {"run": "runs/a"})
    tracker.log({"training/loss": 1.0}, 1)
    tracker.close()
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert b"training/loss" in file.read_bytes()
