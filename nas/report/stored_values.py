"""Single values of a stored row, read strictly: `NasError` names the file where a value is missing or wrong."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn

from nas.errors import NasError
from nas.files import REMEDY, Stored

Json = Mapping[str, Any]  # an object of a JSON file or a line of a CSV file, as `nas.files` reads it


def refuse(row: Json, name: str) -> NoReturn:
    """Raise `NasError` for a value that is missing or wrong."""
    source = row.source if isinstance(row, Stored) else "a row"
    raise NasError(f"{source} has {name} = {reprlib.repr(row.get(name))}", REMEDY)


def text(row: Json, name: str) -> str:
    """Return a text."""
    value = row.get(name)
    return value if isinstance(value, str) else refuse(row, name)


def optional_text(row: Json, name: str) -> str | None:
    """Return a text, or None where there is none."""
    return None if row.get(name) is None else text(row, name)


def number(row: Json, name: str) -> float:
    """Return a finite number."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        refuse(row, name)
    return value


def optional_number(row: Json, name: str) -> float | None:
    """Return a finite number, or None where there is none."""
    return None if row.get(name) is None else number(row, name)


def whole(row: Json, name: str) -> int:
    """Return a whole number; 3.0, as a CSV file is read, is 3."""
    value = number(row, name)
    return int(value) if value == int(value) else refuse(row, name)


def optional_whole(row: Json, name: str) -> int | None:
    """Return a whole number, or None where there is none."""
    return None if row.get(name) is None else whole(row, name)


def flag(row: Json, name: str, default: bool) -> bool:
    """Return a truth value, or `default` where the row has none."""
    value = row.get(name, default)
    return value if isinstance(value, bool) else refuse(row, name)


def part(row: Json, name: str) -> Json:
    """Return an object inside the row."""
    value = row.get(name)
    return value if isinstance(value, Mapping) else refuse(row, name)


def optional_part(row: Json, name: str) -> Json | None:
    """Return an object inside the row, or None where it is missing or empty."""
    return part(row, name) if row.get(name) else None


def parts(row: Json, name: str) -> list[Json]:
    """Return a list of objects inside the row."""
    value = row.get(name)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        refuse(row, name)
    return value
