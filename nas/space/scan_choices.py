"""Which choices are one and the same on a grid: no larger than w, the scan `w{w}` is `h`, and `window-w` is global."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

from nas.space.kinds import KINDS
from nas.space.operator import halve
from nas.space.scan import same_scan, scan_names
from nas.space.settings import scope_side

Directions = tuple[str, ...]


@lru_cache(maxsize=4096)
def plainest(name: str, side: int) -> str:
    """Return the first of all scan patterns that is the same scan as `name` on a grid of `side` x `side` tokens."""
    return next(other for other in scan_names() if same_scan(other, name, side, side))


def sides(kind: str, directions: Directions, grid: int) -> list[int]:
    """Return the side of the grid that each direction scans; of some kinds all but the first scan half the grid."""
    later = halve(grid) if KINDS[kind].halves_later_scans else grid
    return [grid, *[later] * (len(directions) - 1)]


def repeated_scan(kind: str, directions: Directions, grid: int) -> tuple[str, str, int] | None:
    """Find a direction that scans as an earlier one does: its name, the earlier one's, the side of their grid."""
    seen: dict[tuple[str, int], str] = {}
    for name, side in zip(directions, sides(kind, directions, grid), strict=True):
        scan = (plainest(name, side), side)
        if scan in seen:
            return name, seen[scan], side
        seen[scan] = name
    return None


def repeated_choice(
    kind: str, choices: Sequence[Directions], grid: int, grouped: bool
) -> tuple[Directions, Directions] | None:
    """Find a choice that scans as an earlier one does. Their order counts only where they are always `grouped`."""
    seen: dict[Hashable, Directions] = {}
    for directions in choices:
        scans = [
            (plainest(name, side), side) for name, side in zip(directions, sides(kind, directions, grid), strict=True)
        ]
        key: Hashable = tuple(scans) if grouped else frozenset(scans)
        if key in seen:
            return directions, seen[key]
        seen[key] = directions
    return None


def repeated_scope(scopes: Sequence[str], grid: int) -> tuple[str, str] | None:
    """Find an attention's scope in which the same tokens see each other as in an earlier one."""
    seen: dict[str, str] = {}
    for scope in scopes:
        side = scope_side(scope)
        plain = "global" if side is None or side >= grid else "window-1" if side == 1 else scope
        if plain in seen:
            return scope, seen[plain]
        seen[plain] = scope
    return None
