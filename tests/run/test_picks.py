from types import SimpleNamespace

import pytest

from nas.errors import NasError
from nas.run.picks import pick_rows


def row(identity, accuracy, latency_ms):
    return SimpleNamespace(id=identity, accuracy=accuracy, latency_ms=latency_ms)


FRONT = [row("aaa", 0.50, 1.0), row("bbb", 0.90, 1.2), row("ccc", 0.91, 4.0)]


def ids(*picks, front=FRONT):
    return [row.id for row in pick_rows(front, picks)]


def test_picks_are_found_by_what_they_mean():
    assert ids("best") == ["ccc"]
    assert ids("smallest") == ["aaa"]
    assert ids("knee") == ["bbb"]
    assert ids("all") == ["aaa", "bbb", "ccc"]
    assert ids("bbb") == ["bbb"]


def test_a_member_picked_twice_comes_once_in_the_order_asked():
    assert ids("best", "ccc", "smallest", "all") == ["ccc", "aaa", "bbb"]


def test_the_best_of_equals_is_the_fastest():
    assert ids("best", front=[*FRONT, row("ddd", 0.91, 2.0)]) == ["ddd"]


@pytest.mark.parametrize("pick", ["best", "knee", "smallest", "all"])
def test_a_front_of_one_has_every_pick(pick):
    assert ids(pick, front=FRONT[:1]) == ["aaa"]


def test_an_unknown_pick_lists_the_known_ones():
    with pytest.raises(
        NasError, match=r"the front has no 'kne'.*Did you mean 'knee'.*Known: all, best, knee, smallest, or any id"
    ):
        ids("kne")
