"""A run's folder: where every command reads what the ones before it wrote."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nas.errors import NasError, did_you_mean
from nas.files import read_json, write_text

RUNS = Path("runs")
SCHEMA_VERSION = 1
PACKAGES = ("torch", "timm", "numpy", "pymoo", "onnxruntime", "pandas", "plotly")


def create_run(path: Path | None, command: str, now: datetime) -> Path:
    """Make a new run's folder: `path`, or `runs/<date>-<time>-<command>`; `NasError` where it already holds a run."""
    run = path or new_run(command, now)
    if (run / "run.json").exists():
        raise NasError(f"{run} already holds a run", f"Continue it with --run {run} --resume, or choose another folder")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NasError(f"cannot make the folder {run}: {error.strerror}", "Choose another with --run") from error
    return run


def new_run(command: str, now: datetime) -> Path:
    """Name the folder of a run that a command begins now."""
    return RUNS / f"{now:%Y-%m-%d-%H%M%S}-{command}"


def find_run(path: Path | None) -> Path:
    """Give an existing run: `path`, or the newest folder under `runs/`; `NasError` where there is none."""
    if path is not None:
        if not (path / "run.json").is_file():
            hint = did_you_mean(path.name, run_names(), "Runs here")
            raise NasError(f"{path} is not a run: it has no run.json", hint)
        return path
    runs = [RUNS / name for name in run_names()]
    if not runs:
        raise NasError(
            "there is no run under runs/", "Train one: nas train-supernet --space scan-mix-tiny --data cluttered-digits"
        )
    return newest(runs, "run.json")


def newest(folders: Iterable[Path], name: str) -> Path:
    """Give the folder whose file of that name is the last by its number, which no clock can turn back; else by time."""

    def age(folder: Path) -> tuple[int, str, float, str]:
        found = read_json(folder / name)
        return found.get("number", 0), found.get("created", ""), (folder / name).stat().st_mtime, folder.name

    return max(folders, key=age)


def next_number(files: Iterable[Path]) -> int:
    """Give the number of a new run or search beside those that have these files."""
    return 1 + max((read_json(path).get("number", 0) for path in files), default=0)


def run_names() -> list[str]:
    """List the runs under `runs/` by name."""
    return sorted(path.parent.name for path in RUNS.glob("*/run.json"))


def write_manifest(
    run: Path, command: str, seed: int, settings: Mapping[str, Any], now: datetime, machine: Mapping[str, Any]
) -> None:
    """Write run.json: the command that does it again, what was asked, with which versions, on which machine.

    It has no checksum: who moves a data set may correct its path there.
    """
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "created": now.isoformat(timespec="seconds"),
        "number": next_number(run.parent.glob("*/run.json")),
        "seed": seed,
        **settings,
        "versions": versions,
        "machine": dict(machine),
    }
    write_text(run / "run.json", json.dumps(manifest, indent=1) + "\n")


def write_config(run: Path, options: Mapping[str, Any]) -> None:
    """Write config.yaml, which `nas train-supernet --config` runs again."""
    import yaml

    write_text(run / "config.yaml", yaml.safe_dump(dict(options), sort_keys=False))


def latest_search(run: Path) -> Path:
    """Give the folder of the run's newest search; `NasError` where it has none."""
    found = [path.parent for path in run.glob("search/*/front.json")]
    if not found:
        raise NasError(f"{run} has no finished search", "Run: nas search --device cpu --max-latency 5ms")
    return newest(found, "front.json")
