"""A run's folder: where every command reads what the ones before it wrote. All writes are atomic or append-only."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nas.errors import NasError, did_you_mean

RUNS = Path("runs")
SCHEMA_VERSION = 1
PACKAGES = ("torch", "timm", "numpy", "pymoo", "onnxruntime", "pandas", "plotly")


def create_run(path: Path | None, command: str, now: datetime) -> Path:
    """Make a new run's folder: `path`, or `runs/<date>-<time>-<command>`; `NasError` where it already holds a run."""
    run = path or RUNS / f"{now:%Y-%m-%d-%H%M%S}-{command}"
    if (run / "run.json").exists():
        raise NasError(f"{run} already holds a run", f"Continue it with --run {run} --resume, or choose another folder")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NasError(f"cannot make the folder {run}: {error.strerror}", "Choose another with --run") from error
    return run


def find_run(path: Path | None) -> Path:
    """Give an existing run: `path`, or the newest folder under `runs/`; `NasError` where there is none."""
    if path is not None:
        if not (path / "run.json").is_file():
            hint = did_you_mean(path.name, run_names(), "Runs here")
            raise NasError(f"{path} is not a run: it has no run.json", hint)
        return path
    runs = [RUNS / name for name in run_names()]
    if not runs:
        raise NasError("there is no run under runs/", "Train one: nas train-supernet --space scan-mix-tiny")
    return max(runs, key=lambda run: (read_json(run / "run.json").get("created", ""), run.name))


def run_names() -> list[str]:
    """List the runs under `runs/` by name."""
    return sorted(path.parent.name for path in RUNS.glob("*/run.json"))


def write_manifest(run: Path, command: str, seed: int, settings: Mapping[str, Any], now: datetime) -> None:
    """Write run.json: the command that does it again, what was asked, with which versions, on which machine."""
    from nas.hardware.device import this_machine

    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "created": now.isoformat(timespec="seconds"),
        "seed": seed,
        **settings,
        "versions": versions,
        "machine": this_machine().fingerprint,
    }
    write_json(run / "run.json", manifest)


def write_config(run: Path, options: Mapping[str, Any]) -> None:
    """Write config.yaml, which `nas train-supernet --config` runs again."""
    import yaml

    write_text(run / "config.yaml", yaml.safe_dump(dict(options), sort_keys=False))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file at once: readers see the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file at once."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Replace a JSON file at once."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Replace a CSV file at once; dictionaries become canonical JSON, missing values stay empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(row.get(name)) for name in columns})
    write_text(path, text.getvalue())


def cell(value: Any) -> Any:
    """Write one CSV cell: floats in full, so that equal numbers give equal bytes."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return repr(value) if isinstance(value, float) else value


def read_json(path: Path) -> Any:
    """Read a JSON file; `NasError` where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NasError(f"{path} is missing", "Run the command that writes it first") from error
    except json.JSONDecodeError as error:
        raise NasError(f"{path} is not JSON: {error}", "Delete it and run the command that writes it again") from error


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON line and flush it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, sort_keys=True) + "\n")
        file.flush()


def read_rows(path: Path, repair: bool = False) -> list[dict[str, Any]]:
    """Read a JSONL file, [] where there is none, without a last line that a kill cut short.

    With `repair`, for those who will append, that line is dropped from the file too.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn and repair:
        write_text(path, whole + "\n" if whole else "")
    rows = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise NasError(f"{path}, line {number} is not JSON: {error}", "Remove that line, or start anew") from error
    return rows


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a run's lock; `NasError` where another process writes to the run."""
    from filelock import FileLock, Timeout

    run.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise NasError(f"another nas command is writing to {run}", "Wait for it, or use another --run") from error


def latest_search(run: Path) -> Path:
    """Give the folder of the run's newest search; `NasError` where it has none."""
    found = [path.parent for path in run.glob("search/*/front.json")]
    if not found:
        raise NasError(f"{run} has no finished search", "Run: nas search --device cpu --max-latency 5ms")
    return max(found, key=lambda path: (path / "front.json").stat().st_mtime)
