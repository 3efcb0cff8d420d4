from itertools import combinations

import pytest

from nas.space.scan import same_scan, scan_names, scan_order
from nas.space.scan_choices import plainest, repeated_choice, repeated_scan, repeated_scope


@pytest.mark.parametrize("side", [2, 3, 4, 7, 8, 14])
def test_two_patterns_have_the_same_plainest_one_if_and_only_if_they_scan_alike(side):
    for a, b in combinations(scan_names(), 2):
        assert (plainest(a, side) == plainest(b, side)) == same_scan(a, b, side, side)


def test_windows_that_cover_the_grid_are_rows():
    assert plainest("w7", 7) == plainest("w7", 6) == "h"
    assert plainest("w7_flip", 7) == "h_flip"
    assert plainest("w7", 8) == "w7"
    assert scan_order("w7", 8, 8).tolist() != scan_order("h", 8, 8).tolist()


def test_a_list_that_scans_twice_alike_is_found():
    assert repeated_scan("ssd", ("h", "v", "w7"), 7) == ("w7", "h", 7)
    assert repeated_scan("ssd", ("h", "v", "w7"), 8) is None
    assert repeated_scan("multiscale", ("h", "w4"), 4) is None  # one scans 4 x 4, the other 2 x 2
    assert repeated_scan("multiscale", ("h", "v", "w2", "v_flip", "h"), 4) == ("h", "w2", 2)


def test_choices_that_are_the_same_scans_are_found_and_order_counts_only_in_groups():
    assert repeated_choice("ssd", [("h", "v"), ("w7", "v")], 7, grouped=True) == (("w7", "v"), ("h", "v"))
    assert repeated_choice("ssd", [("h", "v"), ("v", "h")], 7, grouped=True) is None
    assert repeated_choice("ssd", [("h", "v"), ("v", "h")], 7, grouped=False) == (("v", "h"), ("h", "v"))
    assert repeated_choice("multiscale", [("h", "v"), ("v", "h")], 8, grouped=False) is None


def test_scopes_in_which_the_same_tokens_attend_are_found():
    assert repeated_scope(["global", "window-7"], 7) == ("window-7", "global")
    assert repeated_scope(["window-4", "grid-8"], 4) == ("grid-8", "window-4")
    assert repeated_scope(["window-1", "grid-1"], 9) == ("grid-1", "window-1")
    assert repeated_scope(["global", "window-4", "grid-4"], 8) is None
