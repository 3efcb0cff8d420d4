"""What the settings of a block require of each other and of the width: each returns what does not fit, else None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.space.merge_mode import effective_mode, several
from nas.space.settings import BRANCHES, hidden_width

Settings = Mapping[str, Any]
Requirement = Callable[[int, Settings], str | None]  # (width, settings) -> what does not fit


@dataclass(frozen=True, slots=True)
class Condition:
    """When a setting has an effect: only while `holds` is true of the value of another one."""

    setting: str
    holds: Callable[[Any], bool]


MODE_NEEDS_DIRECTIONS = Condition("directions", several)


def fits_any_width(width: int, settings: Settings) -> str | None:
    """Accept every width and all settings."""
    return None


def branches_divide_width(width: int, settings: Settings) -> str | None:
    """Accept a width that divides into the branches of a large-kernel block."""
    return f"width {width} does not divide by {BRANCHES}, of which its branches are parts" if width % BRANCHES else None


def heads_divide_width(width: int, settings: Settings) -> str | None:
    """Accept a width that divides into heads."""
    heads = settings["heads"]
    return f"width {width} does not divide by {heads} heads" if width % heads else None


def heads_divide_hidden(width: int, settings: Settings) -> str | None:
    """Accept a width whose hidden channels divide into heads."""
    heads, expansion = settings["heads"], settings["expansion"]
    wrong = hidden_width(width, expansion) % heads
    return f"width {width} x expansion {expansion} does not divide by {heads} heads" if wrong else None


def scans_fit(width: int, settings: Settings) -> str | None:
    """Accept heads that divide the hidden channels and, in mode `group`, into the directions."""
    heads, directions = settings["heads"], settings.get("directions", ())
    fault = heads_divide_hidden(width, settings)
    if fault is None and effective_mode(settings) == "group" and heads % len(directions):
        return f"{heads} heads do not divide into {len(directions)} direction groups"
    return fault


def one_scan_fits(width: int, settings: Settings) -> str | None:
    """Accept heads that divide the hidden channels, and a single direction."""
    count = len(settings.get("directions", ()))
    return heads_divide_hidden(width, settings) or (
        None if count == 1 else f"it scans in one direction, not in {count}"
    )


def two_scales_fit(width: int, settings: Settings) -> str | None:
    """Accept heads that divide the hidden channels, and several directions."""
    enough = several(settings.get("directions", ()))
    return heads_divide_hidden(width, settings) or (
        None if enough else "it needs two directions or more: the first at full resolution, the others at half"
    )
