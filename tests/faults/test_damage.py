"""A file of a run that was cut short, emptied or has a bit flipped is told, or does no harm; nothing ever crashes."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN = "runs/tiny"
SEARCH = ("search", "--run", RUN, "--device", "cpu", "--budget", 8, "--resume", "--quiet")
COMMANDS = {
    "search": SEARCH,
    "report": ("report", "--run", RUN, "--quiet"),
    "show": ("show", "run", RUN),
    "train-supernet": ("train-supernet", "--run", RUN, "--resume", "--quiet"),
}
LATER = {"export": ("export", "--run", RUN, "--pick", "smallest", "--format", "safetensors", "--quiet")}
NAMES = ("run.json", "config.yaml", "training.jsonl", "supernet.safetensors", "training_state.safetensors")
SEARCHED = ("search.json", "front.json", "evaluations.jsonl", "hypervolume.csv", "front.csv")
TABLE = "latency_tables/cpu/onnxruntime-fp32-b1-t1-toy"
TOLD_BY = {"front.json": "report", "search.json": "report"}


def flipped(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def cut_short(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def emptied(data: bytes, rng: random.Random) -> bytes:
    return b""


DAMAGES = (flipped, cut_short, emptied)


def damage_and_call(folder: Path, file: Path, words: Any, damage: Callable[..., bytes], rng: Any, nas: Any) -> Any:
    """Damage a file of a copy of a folder, call a command there, and give how it ended."""
    copy = folder.parent / "damaged"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    (copy / file).write_bytes(damage((folder / file).read_bytes(), rng))
    with contextlib.chdir(copy):
        return nas(*words)


def files_of(folder: Path) -> list[Path]:
    found = [Path(RUN) / name for name in NAMES]
    found += [Path(RUN) / "search/cpu" / name for name in SEARCHED]
    return [*found, Path(f"{TABLE}.csv"), Path(f"{TABLE}.json")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_or_does_no_harm(damage: Callable[..., bytes], workspace: Path, nas: Any) -> None:
    assert nas(*SEARCH).code == 0
    rng = random.Random(damage.__name__)
    for file in files_of(workspace):
        usual = "report" if "search" in file.parts else "show" if file.name in NAMES else "search"
        name = TOLD_BY.get(file.name, usual)
        ended = damage_and_call(workspace, file, COMMANDS[name], damage, rng, nas)
        assert ended.code in (0, 3), f"{file}: {ended.err}"
        if file.name in TOLD_BY:
            assert ended.code == 3 and file.name in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*COMMANDS, *LATER])
def test_no_command_crashes_on_any_damaged_file(
    name: str, damage: Callable[..., bytes], finished_folder: Path, copy_of: Any, nas: Any
) -> None:
    folder, rng = copy_of(finished_folder), random.Random(name)
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix]
    for file in files:
        for _ in range(1 if damage is emptied else 4):
            if (folder / file).stat().st_size:
                ended = damage_and_call(folder, file, (COMMANDS | LATER)[name], damage, rng, nas)
                assert ended.code in (0, 3, 4), f"{file}: {ended.err}"
