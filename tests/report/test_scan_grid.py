from __future__ import annotations

import re

import pytest

from nas.report.scan_grid import CELL, SIDE, arrow, runs, scan_symbol, scan_symbols
from nas.space.scan import scan_names, scan_order


def lines(name: str) -> list[list[tuple[float, float]]]:
    """The polylines of a symbol, heads left out."""
    (path,) = re.findall(r'<path d="([^"]*)"', scan_symbol(name))
    parts = [part.split(" ") for part in path.split("M")[1:]]
    return [[tuple(map(float, point.split(","))) for point in part] for part in parts[::2]]


@pytest.mark.parametrize("name", scan_names())
def test_the_lines_go_through_the_cells_in_the_order_of_the_scan(name: str) -> None:
    order = [int(cell) for cell in scan_order(name, SIDE, SIDE)]
    step = {((cell % SIDE + 0.5) * CELL, (cell // SIDE + 0.5) * CELL): place for place, cell in enumerate(order)}
    for line in lines(name):
        steps = [step[place] for place in line]
        assert steps == list(range(steps[0], steps[0] + len(line)))


def test_a_raster_is_one_arrow_per_row_and_a_snake_a_single_one() -> None:
    assert len(lines("h")) == len(lines("v_flip")) == SIDE
    assert [len(line) for line in lines("snake")] == [SIDE * SIDE]


def test_a_jump_ends_a_run_and_a_lonely_cell_makes_none() -> None:
    way = [(0.0, 0.0), (CELL, 0.0), (CELL, 3 * CELL), (5 * CELL, 0.0), (5 * CELL, CELL)]
    assert list(runs(way)) == [way[:2], way[3:]]


def test_the_head_points_forwards() -> None:
    *_, head = arrow([(0.0, 0.0), (CELL, 0.0)]).split("M")
    (x0, y0), tip, (x1, y1) = (tuple(map(float, point.split(","))) for point in head.split(" "))
    assert tip == (CELL, 0.0)
    assert x0 == x1 < CELL
    assert y0 == -y1 != 0


def test_without_scans_there_is_no_drawing() -> None:
    assert scan_symbols([]) == ""
    assert scan_symbols(["v", "h"]).count("<symbol") == 2
