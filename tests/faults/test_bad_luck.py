"""Bad luck of a run: two commands at once, no room, no right to write, no memory, clocks that go back."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import NasError
from nas.files import locked, write_json
from nas.progress import Console
from nas.run.run import Run
from nas.run.search_settings import Limits, SearchSettings
from nas.search.loop import search
from nas.search.problem import Objective
from nas.space.search_space import SearchSpace
from nas.workflows.requests import SearchRequest
from nas.workflows.search.command import search as search_run
from nas.workflows.search.inherited_accuracy import InheritedAccuracy

RUN = Path("runs/tiny")
SEARCHED = ("front.csv", "front.json", "hypervolume.csv", "evaluations.jsonl")


def search_toy(budget: int = 20, resume: bool = False) -> dict[str, Any]:
    settings = SearchSettings(limits=Limits(max_latency_ms=5.0), budget=budget)
    request = SearchRequest(run=RUN, devices=["cpu"], settings=settings, resume=resume)
    return search_run(request, Console(quiet=True)).to_json()


def outcome() -> list[bytes]:
    return [(RUN / "search/cpu" / name).read_bytes() for name in SEARCHED]


def test_the_second_command_on_a_run_is_told_which_process_has_it(tmp_path: Path) -> None:
    told = rf"another nas command .* process {os.getpid()}\. Wait"
    with locked(tmp_path), pytest.raises(NasError, match=told), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_lock_whose_process_was_killed_is_free(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".lock-owner").write_text("999999\n")
    with locked(tmp_path):
        assert (tmp_path / ".lock-owner").read_text() == f"{os.getpid()}\n"


def test_what_a_killed_command_left_half_written_is_cleared_away_but_not_what_a_living_one_writes(
    tmp_path: Path,
) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    left, living = (tmp_path / f"models/.model.onnx.{pid}.tmp" for pid in (process.pid, os.getpid()))
    left.parent.mkdir()
    left.touch()
    living.touch()
    with locked(tmp_path):
        assert living.exists() and not left.exists()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount small file systems, which needs rights that not every machine gives."""
    mounted: list[Path] = []

    def on(name: str, *words: str) -> Path:
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        if subprocess.run(["mount", *words, str(path)], capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting is not permitted here")
        mounted.append(path)
        return path

    yield on
    for path in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_ends_a_search_with_a_remedy_and_with_room_it_goes_on_to_the_same(
    workspace: Path, mount: Any, nas: Any
) -> None:
    search_toy()
    expected = outcome()
    size = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
    disk = mount("disk", "-t", "tmpfs", "-o", f"size={2 * size}", "tmpfs")
    shutil.copytree(workspace, disk, dirs_exist_ok=True)
    words = ("search", "--run", RUN, "--device", "cpu", "--max-latency", "5ms", "--budget", 20, "--quiet")
    with contextlib.chdir(disk):
        shutil.rmtree(RUN / "search")
        filler = Path("filler")
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        filler.write_bytes(bytes(max(0, free - 12 * 1024)))
        full = nas(*words)
        assert full.code == 3 and "No space left" in full.err and "Make room" in full.err
        filler.unlink()
        assert nas(*words, "--resume").code == 0
        assert outcome() == expected


def test_a_run_that_cannot_be_written_to_is_refused_before_any_work(workspace: Path, mount: Any, nas: Any) -> None:
    bound = mount("bound", "--bind", str(workspace))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(bound)], check=True)
    with contextlib.chdir(bound):
        for words in (
            ("search", "--run", RUN, "--device", "cpu", "--budget", 5),
            ("finetune", "--run", RUN),
            ("train-supernet", "--space", "toy", "--data", "digits", "--run", "runs/other"),
            ("profile", "--device", "box", "--space", "toy", "--backend", "eager", "--validate", 0),
        ):
            refused = nas(*words, "--quiet")
            assert refused.code == 3, refused.err
            assert "Traceback" not in refused.err


def too_large(identity: str) -> bool:
    return identity[-1] in "0123"


class Counting(InheritedAccuracy):
    """Counts, but memory does not suffice for a quarter of all candidates."""

    def count(self, architecture: Any, stage: int) -> tuple[float, float]:
        if too_large(architecture.id):
            raise MemoryError
        return super().count(architecture, stage)


def test_a_candidate_that_memory_does_not_suffice_for_has_failed_and_the_search_goes_on(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.workflows.search.command.InheritedAccuracy", Counting)
    search_toy(budget=30)
    search = Run(RUN).search("cpu")
    rows, expected = search.evaluations(), outcome()
    failed = [row for row in rows if too_large(row.id)]
    assert failed and len(rows) == len({row.id for row in rows}) == 30
    assert all(row.failed == too_large(row.id) for row in rows)
    assert not {row.id for row in failed} & {row.id for row in search.front()}
    log = RUN / "search/cpu/evaluations.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:17]))
    (RUN / "search/cpu/front.json").unlink()
    search_toy(budget=30, resume=True)
    assert outcome() == expected


@pytest.mark.parametrize("allocator", ["torch", "cpu"])
def test_pytorch_running_out_of_memory_is_known_by_all_its_names(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, allocator: str
) -> None:
    judge = InheritedAccuracy(Run(RUN))

    def starved(*given: Any) -> int:
        if allocator == "torch":
            raise torch.OutOfMemoryError("CUDA out of memory")
        torch.empty(2**60)
        return 0

    monkeypatch.setattr("nas.evaluation.activation_cache.SubnetCounts.num_correct", starved)
    space = SearchSpace.load("toy")
    with pytest.raises(MemoryError):
        judge.count(space.smallest(), 0)
    assert math.isnan(judge.of([space.smallest()])[0])


def test_weights_that_give_no_finite_logits_are_a_failure_and_not_an_accuracy_by_chance(workspace: Path) -> None:
    judge = InheritedAccuracy(Run(RUN))
    supernet, _, _ = judge.load()
    largest = supernet.space.largest()
    with torch.no_grad():
        for name, weight in supernet.named_parameters():
            if "head" in name:
                weight.fill_(math.nan)
    assert math.isnan(judge.of([largest])[0])


class Flat:
    cardinalities = (3,) * 5

    def active(self, genomes: Any) -> Any:
        return genomes == genomes

    def decode(self, genome: Any) -> tuple[int, ...]:
        return tuple(int(gene) for gene in genome)


@pytest.mark.parametrize("algorithm", ["surrogate", "nsga2", "local", "tpe", "sensitivity", "random"])
def test_no_algorithm_proposes_a_failed_candidate_again(algorithm: str) -> None:
    judged: list[tuple[int, ...]] = []

    def accuracy(candidates: list[tuple[int, ...]]) -> list[float]:
        judged.extend(candidates)
        if sum(candidates[0]) % 4 == 0:
            raise MemoryError
        return [math.nan if sum(each) % 4 == 1 else float(sum(each)) for each in candidates]

    objectives = [
        Objective("accuracy", "max", accuracy, expensive=True),
        Objective("length", "min", lambda candidates: [float(max(each)) for each in candidates]),
    ]
    result = search(Flat(), objectives=objectives, algorithm=algorithm, budget=80)
    assert len(judged) == len(set(judged)) == 80
    assert result.num_failed == sum(sum(each) % 4 in (0, 1) for each in judged) > 0
    assert not any(each.failed for each in result.front)


def test_a_clock_that_goes_back_changes_neither_the_newest_run_nor_the_newest_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for year in (2026, 2025):  # the second is made after the first
        run = Run.create(None, "train-supernet", datetime(year, 1, 1))
        write_json(run.path / "run.json", {"created": f"{year}", "number": run.next_number()})
    assert Run.find() == Run(Path("runs/2025-01-01-000000-train-supernet"))
    for device, time in (("phone", 2000), ("cpu", 1000)):
        write_json(run.search(device).record_path, {})
        write_json(run.search(device).summary_path, {"number": 2000 - time})
        os.utime(run.search(device).summary_path, (time, time))
    assert run.newest_search() == run.search("cpu")
