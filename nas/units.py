"""Numbers with units, as people write them, and back: `5ms`, `300M`, `2MB`."""

from __future__ import annotations

import re

from nas.errors import UsageError

MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
MOST = 1e300  # still finite when multiplied by any unit
NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-zµ]*)\s*")


def split_unit(text: str) -> tuple[float, str]:
    """Split `5ms` into (5.0, "ms"); `UsageError` where there is no positive number."""
    match = NUMBER.fullmatch(text)
    if match is None or not 0 < float(match[1]) < MOST:
        raise UsageError(f"'{text[:50]}' is not a positive number with a unit", "Write for example 5ms, 300M or 2MB")
    return float(match[1]), match[2].replace("µ", "u")


def parse_with(text: str, factors: dict[str, float], example: str) -> float:
    """Turn `text` into a number with one of the units in `factors`."""
    number, unit = split_unit(text)
    if unit not in factors:
        known = ", ".join(name for name in factors if name)
        if not unit:
            raise UsageError(f"'{text}' has no unit", f"Write {text.strip()}{example}")
        raise UsageError(f"'{text}' has an unknown unit '{unit}'", f"Known units: {known}")
    return number * factors[unit]


def parse_milliseconds(text: str) -> float:
    """Return milliseconds: `5ms`, `800us`, `0.01s`. A bare number is a usage error."""
    return parse_with(text, MILLISECONDS, "ms")


def parse_count(text: str) -> float:
    """Return a count (of parameters, of MACs): `5M`, `300k`, `1.2G`, `70000`."""
    return parse_with(text, COUNTS, "")


def parse_bytes(text: str) -> float:
    """Return bytes: `2MB`, `500kB`, `1MiB`. A bare number is a usage error."""
    return parse_with(text, BYTES, "MB")


def format_milliseconds(milliseconds: float) -> str:
    """Return three significant digits in a fitting unit: `0.84 ms`, `12.3 us`."""
    for unit in ("s", "ms", "us"):
        if milliseconds >= MILLISECONDS[unit]:
            return f"{milliseconds / MILLISECONDS[unit]:.3g} {unit}"
    return f"{milliseconds / MILLISECONDS['ns']:.3g} ns"


def format_seconds(seconds: float) -> str:
    """Return two significant digits in a fitting unit: `45 s`, `12 min`, `3.2 h`, `2.1 days`."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"


def format_count(count: float) -> str:
    """Return three significant digits: `1.25 M`."""
    for unit in ("G", "M", "k"):
        if count >= COUNTS[unit]:
            return f"{count / COUNTS[unit]:.3g} {unit}"
    return f"{count:.3g}"


def format_bytes(size: float) -> str:
    """Return three significant digits: `480 kB`."""
    for unit in ("GB", "MB", "kB"):
        if size >= BYTES[unit]:
            return f"{size / BYTES[unit]:.3g} {unit}"
    return f"{size:.0f} B"
