import numpy as np
import pytest

from nas.errors import NasError
from nas.space.scan import scan_names, scan_order, scan_rank

GRIDS = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (6, 4), (5, 9), (14, 10)]
ON_3_BY_5 = {"h": list(range(15)), "v": [0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14]}


@pytest.mark.parametrize("name", scan_names())
@pytest.mark.parametrize("grid", GRIDS)
def test_every_order_is_a_bijection_and_its_rank_the_inverse(name, grid):
    order, rank = scan_order(name, *grid), scan_rank(name, *grid)
    assert sorted(order) == list(range(grid[0] * grid[1]))
    assert (rank[order] == np.arange(len(order))).all()


@pytest.mark.parametrize("name", ON_3_BY_5)
def test_orders_match_the_published_vectors(name):
    assert scan_order(name, 3, 5).tolist() == ON_3_BY_5[name]
    assert scan_order(f"{name}_flip", 3, 5).tolist() == ON_3_BY_5[name][::-1]


def test_an_unknown_pattern_suggests_the_close_one():
    with pytest.raises(NasError, match="Did you mean 'h_flip'"):
        scan_order("h_flp", 3, 3)
