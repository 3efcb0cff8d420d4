"""The kinds of block and the settings each has: what a space file may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.errors import did_you_mean
from nas.space.architecture import Setting
from nas.space.scan import scan_names


def odd(value: Any) -> str | None:
    """Accept an odd positive integer."""
    good = isinstance(value, int) and not isinstance(value, bool) and value > 0 and value % 2 == 1
    return None if good else "must be an odd positive integer"


def positive(value: Any) -> str | None:
    """Accept a positive integer."""
    good = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return None if good else "must be a positive integer"


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


# Kind -> setting -> what is wrong with a value (None: nothing).
KINDS: Mapping[str, Mapping[str, Callable[[Any], str | None]]] = {
    "basic": {},
    "conv": {"kernel": odd, "expansion": positive},
    "gated-conv": {"kernel": odd, "expansion": positive},
    "ssd": {
        "expansion": positive,
        "heads": positive,
        "state": positive,
        "kernel": odd,
        "directions": scans,
        "mode": merge_mode,
    },
    "attention": {"heads": positive, "expansion": positive},
}


def is_active(setting: str, settings: Mapping[str, Setting]) -> bool:
    """Say whether a setting has an effect beside the others: the mode has none with a single direction."""
    if setting == "mode":
        directions = settings["directions"]
        return isinstance(directions, tuple) and len(directions) > 1
    return True


def misfit(kind: str, width: int, settings: Mapping[str, Setting]) -> str | None:
    """Say why a block of these settings cannot be `width` channels wide; None where it can."""
    heads = settings.get("heads")
    if not isinstance(heads, int):
        return None
    expansion = settings["expansion"] if kind == "ssd" else 1
    assert isinstance(expansion, int)
    if (width * expansion) % heads:
        return f"width {width}{f' x expansion {expansion}' if kind == 'ssd' else ''} does not divide by {heads} heads"
    directions = settings.get("directions", ())
    if settings.get("mode") == "group" and isinstance(directions, tuple) and heads % len(directions):
        return f"{heads} heads do not divide into {len(directions)} direction groups"
    return None
