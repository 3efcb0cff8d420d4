"""The kinds of block and the settings each has: what a space file may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nas.errors import NasError, did_you_mean
from nas.space.architecture import Architecture, Block, Setting
from nas.space.scan import scan_names

# Of every BRANCHES channels of a large-kernel block one sees a square, one a row, one a column; the rest pass through.
BRANCHES = 8
LARGEST, MOST_PIXELS, MOST_BLOCKS = 100_000, 2048, 200  # a mistyped space is refused, not built until memory is full


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
    """Give the tokens a side of an attention's scope, None for `global`; ValueError for what is no scope."""
    if scope == "global":
        return None
    name, _, side = scope.partition("-")
    if name not in ("window", "grid") or not (side.isascii() and side.isdecimal()) or side.startswith("0"):
        raise ValueError(f"no scope '{scope}'")
    return int(side)


# Kind -> setting -> what is wrong with a value (None: nothing).
KINDS: Mapping[str, Mapping[str, Callable[[Any], str | None]]] = {
    "basic": {},
    "conv": {"kernel": odd, "expansion": ratio},
    "large-kernel": {"kernel": odd, "band": odd, "expansion": ratio},
    "pool": {"kernel": odd, "expansion": ratio},
    "gated-conv": {"kernel": odd, "expansion": ratio},
    "ssd": {
        "expansion": ratio,
        "heads": positive,
        "state": positive,
        "kernel": odd,
        "directions": scans,
        "mode": merge_mode,
    },
    "nc-ssd": {"expansion": ratio, "heads": positive, "state": positive, "kernel": odd},
    "hsm": {"expansion": ratio, "state": positive, "kernel": odd},
    "multiscale": {"expansion": ratio, "heads": positive, "state": positive, "kernel": odd, "directions": scans},
    "state-fusion": {"expansion": ratio, "heads": positive, "kernel": odd, "directions": scans},
    "attention": {"heads": positive, "expansion": ratio, "scope": scope},
}


def hidden_width(width: int, expansion: float) -> int:
    """Give the inner channels of a block: the nearest whole number to `width` x `expansion`."""
    return round(width * expansion)


def check_blocks(architecture: Architecture) -> None:
    """Refuse an architecture that no supernet could hold: `NasError` names the kind or the setting that is wrong."""
    for number, stage in enumerate(architecture.stages, 1):
        for block in stage.blocks:
            why = wrong_block(block, stage.width)
            if why is not None:
                raise NasError(f"stage {number} of this architecture: {why[0]}", why[1])


def wrong_block(block: Block, width: int) -> tuple[str, str] | None:
    """Say what is wrong with a block and how it is right; None where it can be built."""
    if block.kind not in KINDS:
        return f"no kind of block '{block.kind}'", did_you_mean(block.kind, KINDS)
    settings, known = dict(block.settings), KINDS[block.kind]
    for name in [name for name in known if name not in settings and name != "mode"]:
        return f"a {block.kind} block has no {name}", f"Its settings: {', '.join(known)}"
    for name, value in settings.items():
        if name not in known:
            return f"a {block.kind} block has no setting '{name}'", did_you_mean(name, known)
        fault = known[name](list(value) if isinstance(value, tuple) else value)
        if fault is not None:
            return f"{name} {value!r} of a {block.kind} block", f"It {fault}"
    fault = misfit(block.kind, width, settings)
    return None if fault is None else (f"a {block.kind} block does not fit", fault)


def is_active(setting: str, settings: Mapping[str, Setting]) -> bool:
    """Say whether a setting has an effect beside the others: the mode has none with a single direction."""
    if setting == "mode":
        directions = settings["directions"]
        return isinstance(directions, tuple) and len(directions) > 1
    return True


def misfit(kind: str, width: int, settings: Mapping[str, Any]) -> str | None:
    """Say why a block of these settings cannot be `width` channels wide; None where it can."""
    if kind == "large-kernel" and width % BRANCHES:
        return f"width {width} does not divide by {BRANCHES}, of which its branches are parts"
    heads: Any = settings.get("heads")
    directions = settings.get("directions", ())
    if kind == "attention" and width % settings["heads"]:
        return f"width {width} does not divide by {heads} heads"
    if kind != "attention" and heads is not None and hidden_width(width, settings["expansion"]) % heads:
        return f"width {width} x expansion {settings['expansion']} does not divide by {heads} heads"
    if kind == "state-fusion" and len(directions) != 1:
        return f"it scans in one direction, not in {len(directions)}"
    if kind == "multiscale" and len(directions) < 2:
        return "it needs two directions or more: the first at full resolution, the others at half"
    if settings.get("mode") == "group" and heads % len(directions):
        return f"{heads} heads do not divide into {len(directions)} direction groups"
    return None
