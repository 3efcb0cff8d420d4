"""Scan patterns drawn: the way through a small grid of cells, with an arrow head where each run of neighbours ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

SIDE = 4  # cells of the drawn grid in each direction: enough to tell every pattern from the others
CELL = 6.0
Point = tuple[float, float]


def scan_symbols(names: Iterable[str]) -> str:
    """Return one hidden SVG with a symbol per scan pattern, to which `scan_icon` refers; nothing without patterns."""
    symbols = "".join(scan_symbol(name) for name in sorted(names))
    return f'<svg class="symbols" width="0" height="0" aria-hidden="true">{symbols}</svg>' if symbols else ""


def scan_symbol(name: str) -> str:
    """Return the symbol of one pattern: its cells as dots, its way as lines, where it begins as a larger dot."""
    from nas.space.scan import scan_order

    order = [int(cell) for cell in scan_order(name, SIDE, SIDE)]
    way = [((cell % SIDE + 0.5) * CELL, (cell // SIDE + 0.5) * CELL) for cell in order]
    lines = "".join(arrow(run) for run in runs(way))
    cells = "".join(dot(place, 0.7) for place in way) + dot(way[0], 1.7)
    return f'<symbol id="scan-{name}" viewBox="0 0 {SIDE * CELL:g} {SIDE * CELL:g}">{cells}<path d="{lines}"/></symbol>'


def scan_icon(name: str) -> str:
    """Return the drawing of one pattern; text beside it has its name."""
    return f'<svg class="scan" aria-hidden="true"><use href="#scan-{name}"></use></svg>'


def dot(place: Point, radius: float) -> str:
    """Return a cell's centre as a circle."""
    return f'<circle cx="{place[0]:g}" cy="{place[1]:g}" r="{radius:g}"/>'


def runs(way: Sequence[Point]) -> Iterator[list[Point]]:
    """Split a way where it jumps over cells; a cell on its own makes no run."""
    run = [way[0]]
    for before, place in itertools.pairwise(way):
        if max(abs(place[0] - before[0]), abs(place[1] - before[1])) > CELL:
            if len(run) > 1:
                yield run
            run = []
        run.append(place)
    if len(run) > 1:
        yield run


def arrow(run: Sequence[Point]) -> str:
    """Return the path of a run, as SVG's `d`: lines from cell to cell, and a head at the last one."""
    (x0, y0), (x, y) = run[-2:]
    ahead = ((x - x0) / CELL, (y - y0) / CELL)
    side = (-ahead[1], ahead[0])
    barbs = [(x - 2 * ahead[0] + sign * 1.7 * side[0], y - 2 * ahead[1] + sign * 1.7 * side[1]) for sign in (1, -1)]
    head = [barbs[0], (x, y), barbs[1]]
    return "".join(f"M{' '.join(f'{a:.4g},{b:.4g}' for a, b in part)}" for part in (run, head))
