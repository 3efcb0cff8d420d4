"""A run's folder: where every command reads what the ones before it wrote. All writes are atomic or append-only."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nas.errors import NasError, did_you_mean
from nas.stored_json import Stored, read_object, sealed

RUNS = Path("runs")
SCHEMA_VERSION = 1
FORMULA = ("=", "+", "-", "@", "\t")  # a spreadsheet computes what begins with these
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


def write_manifest(run: Path, command: str, seed: int, settings: Mapping[str, Any], now: datetime) -> None:
    """Write run.json: the command that does it again, what was asked, with which versions, on which machine.

    It has no checksum: who moves a data set may correct its path there.
    """
    from nas.hardware.device import this_machine

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
        "machine": this_machine().fingerprint,
    }
    write_text(run / "run.json", json.dumps(manifest, indent=1) + "\n")


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


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace a JSON file at once; it carries its checksum."""
    write_text(path, sealed(json.dumps(data, indent=1)) + "\n")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Replace a CSV file at once; dictionaries become canonical JSON, missing values stay empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(row.get(name)) for name in columns})
    write_text(path, text.getvalue())


def cell(value: Any) -> Any:
    """Write one CSV cell: floats in full, so that equal numbers give equal bytes; no text is a formula."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    if isinstance(value, str):
        text = value.replace("\r", " ")  # which readers take for the end of a row, and the csv module does not quote
        return f"'{text}" if text.startswith(FORMULA) else text
    return repr(value) if isinstance(value, float) else value


def read_json(path: Path) -> Stored:
    """Read a JSON file; `NasError` where it is missing or damaged, and later where a key is asked that it lacks."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NasError(f"{path} is missing", "Run the command that writes it first") from error
    except UnicodeDecodeError as error:
        raise NasError(f"{path} is not text: {error}", "Delete it and run the command that writes it again") from error
    return read_object(text, str(path))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON line with its checksum and flush it."""
    append_line(path, sealed(json.dumps(row, sort_keys=True)))


def append_log(path: Path, row: Mapping[str, Any]) -> None:
    """Append one JSON line of a log that nothing is resumed from, without a checksum."""
    append_line(path, json.dumps(row, sort_keys=True))


def append_line(path: Path, line: str) -> None:
    """Append a line and flush it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()


def read_rows(path: Path, repair: bool = False) -> list[Stored]:
    """Read a JSONL file, [] where there is none, without a last line that a kill cut short.

    With `repair`, for those who will append, that line is dropped from the file too. `NasError` names a damaged line.
    """
    rows, whole = [], 0
    for row, end in rows_and_ends(path):
        rows.append(row)
        whole = end
    if repair and path.exists() and whole < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(whole)
    return rows


def each_row(path: Path) -> Iterator[Stored]:
    """Read a JSONL file row by row, as `read_rows` does, for files that are larger than memory."""
    return (row for row, _ in rows_and_ends(path))


def rows_and_ends(path: Path) -> Iterator[tuple[Stored, int]]:
    """Yield the whole lines of a JSONL file, each with the byte after it; nothing where there is no file."""
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield read_object(decoded(line), f"{path}, line {number}", "Remove that line, or start anew"), end


def decoded(line: bytes) -> str:
    """Read UTF-8; what is none becomes a character that no JSON of ours has."""
    return line.decode("utf-8", errors="replace")


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a run's lock, and clear away what a killed command left half-written.

    `NasError` names the process that writes to the run already. The lock ends with its process, however that ends.
    """
    from filelock import FileLock, Timeout

    run.mkdir(parents=True, exist_ok=True)
    owner = run / ".lock-owner"
    try:
        with FileLock(run / ".lock", timeout=0):
            owner.write_text(f"{os.getpid()}\n", encoding="utf-8")
            try:
                remove_left_over(run)
                yield
            finally:
                owner.unlink(missing_ok=True)
    except Timeout as error:
        pid = owner.read_text(encoding="utf-8").strip() if owner.exists() else "unknown"
        raise NasError(
            f"another nas command is writing to {run}: process {pid}", "Wait for it, or use another --run"
        ) from error


def remove_left_over(run: Path) -> None:
    """Delete the temporary files of `write_bytes` whose process is gone: it was killed in the middle of one."""
    for path in run.rglob(".*.tmp"):
        pid = path.suffixes[-2].removeprefix(".") if len(path.suffixes) > 1 else ""
        if pid.isdecimal() and not is_running(int(pid)):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Say whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to somebody else
        return True
    return True


def latest_search(run: Path) -> Path:
    """Give the folder of the run's newest search; `NasError` where it has none."""
    found = [path.parent for path in run.glob("search/*/front.json")]
    if not found:
        raise NasError(f"{run} has no finished search", "Run: nas search --device cpu --max-latency 5ms")
    return newest(found, "front.json")
