import numpy as np
import pytest

from nas.space.chunks import chunk_cells, chunk_count, chunk_size, chunk_starts
from nas.space.scan import CHUNK_TOKENS, scan_names, scan_order, scan_starts


@pytest.mark.parametrize("tokens", [1, 31, 32, 33, 49, 196, 784, 1000])
def test_chunks_are_as_few_as_possible_and_no_larger_than_need_be(tokens):
    size, chunks = chunk_size(tokens), -(-tokens // CHUNK_TOKENS)
    assert size <= CHUNK_TOKENS
    assert size * chunks >= tokens > (size - 1) * chunks


@pytest.mark.parametrize("name", scan_names())
@pytest.mark.parametrize(("grid", "size"), [((5, 9), 4), ((3, 5), 20), ((14, 14), 28), ((1, 1), 3)])
def test_chunks_hold_every_token_once_in_order_and_a_segment_begins_one(name, grid, size):
    cells, starts = chunk_cells(name, *grid, size), chunk_starts(name, *grid, size)
    tokens = grid[0] * grid[1]
    assert cells.shape[1] == size and len(starts) == len(cells)
    assert cells[cells < tokens].tolist() == scan_order(name, *grid).tolist()
    first_steps = np.cumsum(np.r_[0, (cells < tokens).sum(1)])[:-1]
    assert first_steps[starts].tolist() == scan_starts(name, *grid).tolist()
    assert (cells[:, 0] < tokens).all()


def test_the_longest_scan_decides_how_many_chunks_there_are():
    assert chunk_count(("h", "v"), 14, 14) == 7
    assert chunk_count(("h", "atrous2"), 14, 14) == 8  # four phases of 49 tokens in chunks of 28
