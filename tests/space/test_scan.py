import numpy as np
import pytest

from nas.errors import NasError
from nas.space.scan import SCANS, same_scan, scan_names, scan_order, scan_rank, scan_starts

GRIDS = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (6, 4), (5, 9), (14, 10), (7, 7), (8, 8), (14, 14)]
ON_3_BY_5 = {
    "h": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    "v": [0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14],
    "snake": [0, 1, 2, 3, 4, 9, 8, 7, 6, 5, 10, 11, 12, 13, 14],
    "snake_v": [0, 5, 10, 11, 6, 1, 2, 7, 12, 13, 8, 3, 4, 9, 14],
    "w2": [0, 1, 5, 6, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 14],
    "w4": [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 4, 9, 14],
    "w7": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
    "diag": [0, 5, 1, 2, 6, 10, 11, 7, 3, 4, 8, 12, 13, 9, 14],
    "adiag": [4, 9, 3, 2, 8, 14, 13, 7, 1, 0, 6, 12, 11, 5, 10],
    "spiral": [0, 1, 2, 3, 4, 9, 14, 13, 12, 11, 10, 5, 6, 7, 8],
    "hilbert": [0, 5, 6, 1, 2, 3, 8, 7, 12, 13, 11, 10, 14, 9, 4],
    "atrous2": [0, 2, 4, 10, 12, 14, 1, 3, 11, 13, 5, 7, 9, 6, 8],
}


def steps(name, height, width):
    """Manhattan distance from each visited cell to the next."""
    i, j = np.divmod(scan_order(name, height, width), width)
    return abs(np.diff(i)) + abs(np.diff(j))


@pytest.mark.parametrize("name", scan_names())
@pytest.mark.parametrize("grid", GRIDS)
def test_every_order_is_a_bijection_and_its_rank_the_inverse(name, grid):
    order, rank = scan_order(name, *grid), scan_rank(name, *grid)
    assert sorted(order) == list(range(grid[0] * grid[1]))
    assert (rank[order] == np.arange(len(order))).all()
    assert (order[rank] == np.arange(len(order))).all()


@pytest.mark.parametrize("name", SCANS)
def test_orders_match_the_published_vectors_and_a_flip_runs_backwards(name):
    assert scan_order(name, 3, 5).tolist() == ON_3_BY_5[name]
    assert scan_order(f"{name}_flip", 3, 5).tolist() == ON_3_BY_5[name][::-1]


@pytest.mark.parametrize("name", ["snake", "snake_v", "spiral"])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_snake_and_a_spiral_go_from_neighbour_to_neighbour_on_any_grid(name, grid):
    assert (steps(name, *grid) == 1).all()


@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_hilberts_curve_goes_from_neighbour_to_neighbour_on_powers_of_two(side):
    assert (steps("hilbert", side, side) == 1).all()


@pytest.mark.parametrize("window", [2, 4, 7])
@pytest.mark.parametrize("grid", [(7, 7), (14, 10), (5, 9), (3, 5), (8, 8)])
def test_windows_are_those_of_the_padded_grid_without_the_padding(window, grid):
    height, width = (-(-side // window) * window for side in grid)
    blocks = np.arange(height * width).reshape(height // window, window, width // window, window)
    i, j = np.divmod(blocks.swapaxes(1, 2).ravel(), width)
    inside = (i < grid[0]) & (j < grid[1])
    assert scan_order(f"w{window}", *grid).tolist() == (i * grid[1] + j)[inside].tolist()
    assert same_scan(f"w{window}", "h", *grid) == (window >= grid[1])


@pytest.mark.parametrize("name", scan_names())
@pytest.mark.parametrize("grid", GRIDS)
def test_a_reverse_begins_its_segments_where_the_order_ends_them(name, grid):
    tokens, starts = grid[0] * grid[1], scan_starts(name, *grid).tolist()
    base = scan_starts(name.removesuffix("_flip"), *grid).tolist()
    ends = sorted(tokens - stop for stop in [*base[1:], tokens])
    assert starts == (ends if name.endswith("_flip") else base)
    assert starts[0] == 0
    if "atrous" not in name:
        assert starts == [0]


def test_atrous_starts_afresh_with_every_phase():
    assert scan_starts("atrous2", 3, 5).tolist() == [0, 6, 10, 13]
    assert scan_starts("atrous2_flip", 3, 5).tolist() == [0, 2, 5, 9]
    assert scan_starts("atrous2", 1, 1).tolist() == [0]


def test_scans_are_the_same_only_if_order_and_segments_are():
    assert same_scan("w7", "h", 7, 7) and same_scan("w7_flip", "h_flip", 7, 7)
    assert not same_scan("w7", "h", 14, 14)
    assert same_scan("h", "v", 1, 9) and same_scan("snake", "spiral", 1, 9)
    assert scan_order("atrous2", 1, 2).tolist() == scan_order("h", 1, 2).tolist()
    assert not same_scan("atrous2", "h", 1, 2)


@pytest.mark.parametrize("name", scan_names())
def test_what_a_cache_hands_out_is_cached_and_cannot_be_changed(name):
    for part in (scan_order, scan_rank, scan_starts):
        assert part(name, 4, 5) is part(name, 4, 5)
        with pytest.raises(ValueError, match="read-only"):
            part(name, 4, 5)[0] = 1


def test_an_unknown_pattern_suggests_the_close_one():
    with pytest.raises(NasError, match="Did you mean 'h_flip'"):
        scan_order("h_flp", 3, 3)
