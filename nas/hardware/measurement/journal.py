"""The journal of a running measurement: one line per visit, written at once; a kill loses one visit at most."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from nas.errors import NasError
from nas.files import JsonObject, appendable, read_object, sealed
from nas.hardware.measurement.protocol import Visit


@dataclass(frozen=True, slots=True)
class Journal:
    """The visits made so far, and the open file the next ones are appended to."""

    path: Path
    visits: list[Visit]
    done: set[tuple[int, str]]
    file: TextIO

    @classmethod
    @contextmanager
    def open(cls, path: Path, settings: JsonObject, resume: bool) -> Iterator[Journal]:
        """Start a journal or, with `resume`, go on with the one there is.

        `NasError` where its settings are others, or another process is writing to it.
        """
        settings = json.loads(json.dumps(settings))
        with exclusive(path), appendable(path, keep=resume) as file:
            visits = read_visits(file, settings)
            if file.tell() == 0:
                file.write(sealed(json.dumps(settings)) + "\n")
            yield cls(path, visits, {(visit.round, visit.name) for visit in visits}, file)

    def append(self, visit: Visit) -> None:
        """Write a visit down, through to the file."""
        self.file.write(sealed(json.dumps(asdict(visit))) + "\n")
        self.file.flush()
        self.visits.append(visit)
        self.done.add((visit.round, visit.name))

    def remove(self) -> None:
        """Delete the file: the table is written, the journal has done its work."""
        self.path.unlink()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock beside a journal; `NasError` where another process holds it."""
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            yield
    except Timeout as error:
        raise NasError(f"another nas profile is measuring {path.name.split('.')[0]}", "Wait until it ends") from error


def read_visits(file: TextIO, settings: JsonObject) -> list[Visit]:
    """Read the visits of a journal with these settings, and cut off a last line that a kill left unfinished."""
    file.seek(0)
    text = file.read()
    whole = text[: text.rfind("\n") + 1]
    remedy = "Measure from the start: leave out --resume"
    lines = [
        read_object(line, f"{file.name}, line {number}", remedy)
        for number, line in enumerate(whole.splitlines(), start=1)
    ]
    file.seek(len(whole.encode()))
    file.truncate()
    before, visits = (lines[0], lines[1:]) if lines else (settings, [])
    changed = sorted(name for name in before | settings if before.get(name) != settings.get(name))
    if changed:
        raise NasError(f"the measurement in {file.name} was begun under other settings ({', '.join(changed)})", remedy)
    return [Visit(v["name"], v["round"], tuple(v["samples_ms"]), v["wall_ms_min"]) for v in visits]
