"""Checks of single settings of a space: each returns what is wrong with a value, None for a good one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.errors import did_you_mean
from nas.space.limits import LARGEST, MOST_BLOCKS, MOST_PIXELS
from nas.space.scan import scan_names

Check = Callable[[Any], str | None]

# Of every BRANCHES channels of a large-kernel block one sees a square, one a row, one a column; the rest pass through.
BRANCHES = 8


def odd(value: Any) -> str | None:
    """Accept an odd positive integer."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value < LARGEST and value % 2 == 1
    return None if good else "must be an odd positive integer"


def positive(value: Any) -> str | None:
    """Accept a positive integer."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST
    return None if good else f"must be a positive integer, at most {LARGEST}"


def image_side(value: Any) -> str | None:
    """Accept the side of an image whose scans fit into memory."""
    good = positive(value) is None and value <= MOST_PIXELS
    return None if good else f"must be a positive integer, at most {MOST_PIXELS}"


def depth(value: Any) -> str | None:
    """Accept a number of blocks in a row."""
    good = positive(value) is None and value <= MOST_BLOCKS
    return None if good else f"must be a positive integer, at most {MOST_BLOCKS}"


def ratio(value: Any) -> str | None:
    """Accept a positive number, whole or not."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST
    return None if good else f"must be a positive number, at most {LARGEST}"


def scans(value: Any) -> str | None:
    """Accept a list of distinct scan patterns."""
    known = scan_names()
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        return "must be a list of scan patterns, for example [h, v_flip]"
    unknown = [name for name in value if name not in known]
    if unknown:
        return f"names no scan pattern: {did_you_mean(unknown[0], known)}"
    return "names a pattern twice" if len(set(value)) < len(value) else None


def merge_mode(value: Any) -> str | None:
    """Accept how several directions are merged: `sum` (all heads see all) or `group` (each head sees one)."""
    return None if value in ("sum", "group") else "must be sum or group"


def scope(value: Any) -> str | None:
    """Accept which tokens attend to each other: `global`, `window-N` or `grid-N`, N tokens a side."""
    try:
        scope_side(value)
    except (ValueError, AttributeError):
        return "must be global, window-N or grid-N with N tokens a side, for example window-7"
    return None


def scope_side(scope: str) -> int | None:
    """Return the tokens a side of an attention's scope, None for `global`; ValueError for any other text."""
    if scope == "global":
        return None
    name, _, side = scope.partition("-")
    if name not in ("window", "grid") or not (side.isascii() and side.isdecimal()) or side.startswith("0"):
        raise ValueError(f"no scope '{scope}'")
    return int(side)


def hidden_width(width: int, expansion: float) -> int:
    """Return the inner channels of a block: the nearest whole number to `width` x `expansion`."""
    return round(width * expansion)
