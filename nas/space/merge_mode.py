"""When it matters how the directions of a scan are merged: with a single one, the mode has no effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.space.architecture import Setting


def several(directions: Any) -> bool:
    """Whether there are several directions: with a single one their mode has no effect."""
    return len(directions) > 1


def effective_mode(settings: Mapping[str, Setting]) -> str:
    """Return the mode of a block's scans; `sum` where it has no effect, or is not a setting of the kind."""
    mode = settings.get("mode", "sum")
    assert isinstance(mode, str)
    return mode if several(settings.get("directions", ())) else "sum"
