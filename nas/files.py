"""Files: written at once or appended to line by line, read strictly. The only module that opens a file for writing."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from nas.errors import NasError

JsonObject = dict[str, Any]  # what a JSON file holds, or what --json prints
FORMULA = ("=", "+", "-", "@", "\t")  # a spreadsheet computes what begins with these
CHECKSUM = "crc32"  # the last member of an object that this module wrote
SEAL = re.compile(r'"crc32": "([0-9a-f]{8})"\s*}\s*')
REMEDY = "Delete it and run the command that writes it again"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file at once: readers see the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_through(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Replace several files of one folder: all are complete beside their places before the first one is moved."""
    temporary = {path: path.with_name(f"{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_through(temporary[path], content)
        for path, place in temporary.items():
            place.replace(path)
    finally:
        for place in temporary.values():
            place.unlink(missing_ok=True)


def write_through(path: Path, content: bytes) -> None:
    """Write a file down to the disk, not only into its cache."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Replace a text file at once."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace a JSON file at once; it carries its checksum."""
    write_text(path, sealed(json.dumps(data, indent=1)) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
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


@contextmanager
def appendable(path: Path, keep: bool) -> Iterator[TextIO]:
    """Open a text file to be read and appended to; without `keep` it begins empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+" if keep else "w+", encoding="utf-8", errors="replace") as file:
        yield file


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
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


def read_json(path: Path) -> Stored:
    """Read a JSON file; `NasError` where it is missing or damaged, and later where a key is asked that it lacks."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NasError(f"{path} is missing", "Run the command that writes it first") from error
    except UnicodeDecodeError as error:
        raise NasError(f"{path} is not text: {error}", "Delete it and run the command that writes it again") from error
    return read_object(text, str(path))


class Stored(dict[str, Any]):
    """A JSON object of a file; `NasError` names the file where a key is missing."""

    __slots__ = ("source",)
    source: str

    def __missing__(self, key: str) -> NoReturn:
        raise NasError(f"{self.source} has no '{key}'", REMEDY)


def sealed(text: str) -> str:
    """Add its checksum to the text of a JSON object, as the last member."""
    body = text.removesuffix("}").rstrip()
    gap = "\n " if "\n" in text else " "
    comma = "" if body == "{" else ","
    return f'{body}{comma}{gap}"{CHECKSUM}": "{checksum(body)}"{gap.removesuffix(" ")}}}'


def checksum(body: str) -> str:
    """CRC-32 of a text in UTF-8, eight hexadecimal digits."""
    return f"{zlib.crc32(body.encode(errors='surrogatepass')):08x}"


def read_object(text: str, source: str, remedy: str = REMEDY) -> Stored:
    """Read the text of one JSON object; one that has a checksum must agree with it, one that has none is taken as is.

    `NasError` with `source` and `remedy` for whatever else comes in.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NasError(f"{source} is not JSON: {error}", remedy) from error
    if not isinstance(content, dict):
        raise NasError(f"{source} is not a JSON object", remedy)
    start = text.rfind(f'"{CHECKSUM}"')
    seal = SEAL.fullmatch(text, start) if start >= 0 else None
    if seal and seal[1] != checksum(text[:start].rstrip().removesuffix(",")):
        raise NasError(f"{source} is damaged or was changed by hand: its checksum differs", remedy)
    content.pop(CHECKSUM, None)
    return named(content, source)


def named(value: Any, source: str) -> Any:
    """Turn all objects in a JSON value into those that know their file."""
    if isinstance(value, dict):
        stored = Stored({key: named(item, source) for key, item in value.items()})
        stored.source = source
        return stored
    return [named(item, source) for item in value] if isinstance(value, list) else value


def read_jsonl(path: Path, repair: bool = False) -> list[Stored]:
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


def iterate_jsonl(path: Path) -> Iterator[Stored]:
    """Read a JSONL file row by row, as `read_jsonl` does, for files that are larger than memory."""
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
            yield read_object(decoded(line), f"{path}, line {number}", "Remove that line, or start again"), end


def decoded(line: bytes) -> str:
    """Read UTF-8; what is none becomes a character that no JSON of ours has."""
    return line.decode("utf-8", errors="replace")


def read_csv(path: Path, numbers: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a CSV file, [] where there is none: texts, but these columns are numbers, and what is empty is None.

    `NasError` where a cell that should be a number is none, a row has too few cells, or the last line has no end.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = file.readlines()
        rows = list(csv.DictReader(lines, strict=True))
        if any(None in row or None in row.values() for row in rows) or not "".join(lines[-1:]).endswith("\n"):
            raise ValueError("a row has too few or too many cells, or the last one no end")
        values = [
            {name: (float(text) if name in numbers else text) if text else None for name, text in row.items()}
            for row in rows
        ]
    except (ValueError, TypeError, csv.Error) as error:
        raise NasError(f"{path} is damaged: {error}", "Run the command that writes it again") from error
    return named(values, str(path))


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
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to somebody else
        return True
    return True
