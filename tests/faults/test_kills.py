"""Every command that writes, killed at random moments and called again, leaves what an uninterrupted one leaves."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.files import read_json, read_jsonl

RUN = "runs/tiny"


def trained(folder: Path) -> Any:
    run = folder / "runs/new"
    rows = [
        {name: value for name, value in row.items() if name != "seconds"} for row in read_jsonl(run / "training.jsonl")
    ]
    return rows, (run / "supernet.safetensors").read_bytes()


def profiled(folder: Path) -> Any:
    with (folder / "latency_tables/box/eager-fp32-b1-t1-toy.csv").open(newline="") as file:
        return [row["key"] for row in csv.DictReader(file)]


def searched(folder: Path) -> Any:
    names = ("front.csv", "front.json", "hypervolume.csv", "evaluations.jsonl")
    return [(folder / RUN / "search/cpu" / name).read_bytes() for name in names]


def tuned(folder: Path) -> Any:
    (described,) = (folder / RUN / "models").glob("*/model.json")
    return read_json(described), described.with_name("model.safetensors").read_bytes()


def compared(folder: Path) -> Any:
    names = ("id", "kind", "accuracy", "epochs", "recipe", "num_params")  # latencies are measured again
    with (folder / RUN / "compare.csv").open(newline="") as file:
        rows = sorted(tuple(row[name] for name in names) for row in csv.DictReader(file))
    return rows, sorted(json.dumps(row, sort_keys=True) for row in read_jsonl(folder / RUN / "compare/trained.jsonl"))


def audited(folder: Path) -> Any:
    rows = sorted(json.dumps(row, sort_keys=True) for row in read_jsonl(folder / RUN / "audit/alone.jsonl"))
    return read_json(folder / RUN / "audit.json"), rows


def reported(folder: Path) -> Any:
    return (folder / RUN / "report.html").read_bytes()


# Command -> what it adds to be resumed, its outcome, and what of a finished run it writes, which is removed before.
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Path], Any], str]] = {
    "train-supernet": (("--resume",), trained, ""),
    "profile": (("--resume",), profiled, ""),
    "search": (("--resume",), searched, "search"),
    "finetune": ((), tuned, "models tuning"),
    "compare": ((), compared, "compare compare.csv search/cpu/measured.json tuning"),
    "audit": ((), audited, "audit"),
    "report": ((), reported, "report.html"),
}
SLOWLY = [pytest.param(name, 20, marks=pytest.mark.slow, id=f"{name}-20") for name in COMMANDS]
EARLY = ("train-supernet", "profile", "search")  # these need no more than a trained run


def without(folder: Path, names: str) -> Path:
    """Remove from a run what a command writes."""
    for name in names.split():
        path = folder / RUN / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return folder


def progress(folder: Path) -> int:
    """Bytes that lie in a folder, half-written files included."""
    sizes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a temporary file that has got its name meanwhile
            sizes += path.stat().st_size if path.is_file() else 0
    return sizes


def kill_at(process: Any, folder: Path, target: int) -> bool:
    """Kill a command once it has written as much; whether it was still running then."""
    while process.is_alive() and progress(folder) < target:
        process.join(0.002)
    process.kill()
    process.join()
    return bool(process.exitcode == -9)


@pytest.mark.parametrize(("name", "kills"), [("search", 1), *SLOWLY])
def test_a_command_killed_at_random_moments_and_called_again_leaves_what_an_uninterrupted_one_leaves(
    name: str, kills: int, begin: Any, command: Any, words_of: Any, copy_of: Any, request: Any
) -> None:
    words, (resume, outcome, writes) = words_of[name], COMMANDS[name]
    before = request.getfixturevalue("trained_folder" if name in EARLY else "finished_folder")
    undisturbed = without(copy_of(before), writes)
    start = progress(undisturbed)
    code, said = command(*words, folder=undisturbed)
    assert code in (0, 4), said  # 4: a check of so small an audit or profile may fail
    expected, span, rng = outcome(undisturbed), progress(undisturbed) - start, random.Random(name)
    killed = missed = 0
    while killed < kills:
        folder = without(copy_of(before), writes)
        share = rng.uniform(0, 1) * 0.5**missed  # one that ended before it was killed: earlier the next time
        if not kill_at(begin(*words, folder=folder), folder, start + int(share * span)):
            missed += 1
            assert missed <= 2 * kills + 10, "it ends before it can be killed"
            continue
        killed, missed = killed + 1, 0
        begun = name != "train-supernet" or (folder / "runs/new/run.json").exists()  # else there is no run to resume
        code, said = command(*words, *(resume if begun else ()), folder=folder)
        assert code in (0, 4), said
        assert outcome(folder) == expected
        assert not list(folder.rglob("*.tmp")), "nothing half-written is left"
