"""Where runs lie: folders under `runs/`, numbered in the order they were begun."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from nas.errors import NasError, did_you_mean
from nas.files import read_json

RUNS = Path("runs")
MANIFEST = "run.json"  # a folder that holds it is a run


def create_run(path: Path | None, command: str, now: datetime) -> Path:
    """Make a new run's folder: `path`, or `runs/<date>-<time>-<command>`; `NasError` where it already holds a run."""
    run = path or new_run(command, now)
    if (run / MANIFEST).exists():
        raise NasError(f"{run} already holds a run", f"Continue it with --run {run} --resume, or choose another folder")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NasError(f"cannot make the folder {run}: {error.strerror}", "Choose another with --run") from error
    return run


def new_run(command: str, now: datetime) -> Path:
    """Return the name of the folder of a run that a command begins now."""
    return RUNS / f"{now:%Y-%m-%d-%H%M%S}-{command}"


def find_run(path: Path | None) -> Path:
    """Return the folder of an existing run: `path`, or the newest under `runs/`; `NasError` where there is none."""
    if path is not None:
        if not (path / MANIFEST).is_file():
            hint = did_you_mean(path.name, run_names(), "Runs here")
            raise NasError(f"{path} is not a run: it has no {MANIFEST}", hint)
        return path
    runs = [RUNS / name for name in run_names()]
    if not runs:
        raise NasError(
            "there is no run under runs/", "Train one: nas train-supernet --space scan-mix-tiny --data cluttered-digits"
        )
    return newest(runs, MANIFEST)


def newest(folders: Iterable[Path], name: str) -> Path:
    """Return the folder whose file of that name has the largest number; where numbers are equal, the latest one.

    A clock that goes back does not change the order of numbers.
    """

    def age(folder: Path) -> tuple[int, str, float, str]:
        content = read_json(folder / name)
        return content.get("number", 0), content.get("created", ""), (folder / name).stat().st_mtime, folder.name

    return max(folders, key=age)


def next_number(files: Iterable[Path]) -> int:
    """Return the number of a new run or search beside those that have these files."""
    return 1 + max((read_json(path).get("number", 0) for path in files), default=0)


def run_names() -> list[str]:
    """Return the names of the runs under `runs/`."""
    return sorted(path.parent.name for path in RUNS.glob(f"*/{MANIFEST}"))
