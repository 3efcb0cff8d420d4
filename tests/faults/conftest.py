"""Commands that run in processes of their own, which start at once, because a server has imported everything."""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RUN = "runs/tiny"
SETTINGS = ("--set", "epochs=1", "--set", "batch_size=128", "--set", "ema_share=0.1", "--quiet")
COMMANDS: dict[str, tuple[object, ...]] = {
    "train-supernet": ("--space", "toy", "--data", "digits", "--run", "runs/new", *SETTINGS),
    "profile": ("--device", "box", "--space", "toy", "--backend", "eager", "--validate", 12, "--quiet"),
    "search": ("--run", RUN, "--device", "cpu", "--budget", 24, "--quiet"),
    "finetune": ("--run", RUN, "--pick", "smallest", "--trials", 2, *SETTINGS),
    "compare": ("--run", RUN, "--models", "resnet10t@32", "--quiet"),
    "audit": ("--run", RUN, "--subnets", 3, *SETTINGS),
    "report": ("--run", RUN, "--quiet"),
}
START = """
import os, sys
os.chdir({folder!r})
sys.argv = {words!r}
{before}
if {log!r} is not None:
    sys.stdout = sys.stderr = open({log!r}, "w")
from nas.cli import main
main()
"""


Process = multiprocessing.process.BaseProcess


@pytest.fixture(scope="session")
def words_of() -> dict[str, tuple[object, ...]]:
    """The words of a short call of every command that writes."""
    return {name: (name, *words) for name, words in COMMANDS.items()}


@pytest.fixture(scope="session")
def begin() -> Callable[..., Process]:
    """Start one command in a folder, in a process of its own; `before` is Python that runs first there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nas.workflows.demo", "nas.workflows.audit", "onnxruntime", "optuna", "plotly"])

    def start(*words: object, folder: Path, before: str = "", log: Path | None = None) -> Process:
        argv = ["nas", *map(str, words)]
        code = START.format(folder=str(folder), words=argv, before=before, log=None if log is None else str(log))
        process = context.Process(target=exec, args=(code, {"__name__": "command"}))
        process.start()
        return process

    return start


@pytest.fixture
def command(begin: Callable[..., Process], tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run one command to its end; give its exit code and what it said."""

    def run(*words: object, folder: Path, before: str = "") -> tuple[int, str]:
        log = tmp_path / "said"
        process = begin(*words, folder=folder, before=before, log=log)
        process.join()
        assert process.exitcode is not None
        return process.exitcode, log.read_text(encoding="utf-8") if log.exists() else ""

    return run


@pytest.fixture(scope="session")
def finished_folder(
    trained_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    begin: Callable[..., Process],
) -> Path:
    """A folder whose run was trained, searched, fine-tuned and compared."""
    folder = shutil.copytree(trained_folder, tmp_path_factory.mktemp("faults") / "finished")
    for name in ("search", "finetune", "compare"):
        process = begin(name, *COMMANDS[name], folder=folder)
        process.join()
        assert process.exitcode == 0
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Give copies of a folder of the test's own."""
    made: list[Path] = []

    def copied(folder: Path) -> Path:
        made.append(shutil.copytree(folder, tmp_path / f"copy-{len(made)}"))
        return made[-1]

    yield copied
    for folder in made:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
