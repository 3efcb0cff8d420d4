"""JSON with a checksum of itself, read into objects that name their file where a key is missing: a run's files."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, NoReturn

from nas.errors import NasError

CHECKSUM = "crc32"  # the last member of an object that this module wrote
SEAL = re.compile(r'"crc32": "([0-9a-f]{8})"\s*}\s*')
REMEDY = "Delete it and run the command that writes it again"


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
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NasError(f"{source} is not JSON: {error}", remedy) from error
    if not isinstance(found, dict):
        raise NasError(f"{source} is not a JSON object", remedy)
    start = text.rfind(f'"{CHECKSUM}"')
    seal = SEAL.fullmatch(text, start) if start >= 0 else None
    if seal and seal[1] != checksum(text[:start].rstrip().removesuffix(",")):
        raise NasError(f"{source} is damaged or was changed by hand: its checksum differs", remedy)
    found.pop(CHECKSUM, None)
    return named(found, source)


def named(value: Any, source: str) -> Any:
    """Turn all objects in a JSON value into those that know their file."""
    if isinstance(value, dict):
        stored = Stored({key: named(item, source) for key, item in value.items()})
        stored.source = source
        return stored
    return [named(item, source) for item in value] if isinstance(value, list) else value
