import re
import sys

import pytest

from nas import progress
from nas.progress import Console


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, in seconds."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_everything_is_said_on_stderr(capsys):
    Console().say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_quiet_says_nothing_at_all(capsys):
    console = Console(quiet=True)
    console.say("hello")
    with console.task("train", 10) as advance:
        advance(10, "a note")
    assert capsys.readouterr() == ("", "")


def test_away_from_a_terminal_a_task_says_a_line_now_and_then_and_one_at_the_end(capsys, clock):
    with Console().task("train", 100) as advance:
        for second in range(1, 41):
            clock[0] = float(second)
            advance(second, f"loss {second}")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "train: 15/100, 15 s, about 85 s left  loss 15",
        "train: 30/100, 30 s, about 70 s left  loss 30",
        "train: done in 40 s  loss 40",
    ]


def test_what_takes_less_than_two_seconds_leaves_no_line(capsys, clock):
    with Console().task("train", 10) as advance:
        clock[0] = 1.9
        advance(10, "")
    assert capsys.readouterr() == ("", "")


def test_a_note_stays_until_the_next_one(capsys, clock):
    with Console().task("train", 10) as advance:
        advance(1, "accuracy 50%")
        clock[0] = 20.0
        advance(2, "")
    assert capsys.readouterr().err.splitlines()[0].endswith("accuracy 50%")


def test_a_task_that_fails_does_not_say_that_it_is_done(capsys, clock):
    with pytest.raises(KeyboardInterrupt), Console().task("train", 10) as advance:
        advance(1, "")
        raise KeyboardInterrupt
    assert "done" not in capsys.readouterr().err


def test_a_bar_has_no_colours_where_the_user_wants_none(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    for wanted in ("", "1"):
        monkeypatch.setenv("NO_COLOR", wanted)
        with Console().task("train", 10) as advance:
            advance(10, "")
        assert bool(re.search("\x1b\\[[0-9;]*3[0-9]", capsys.readouterr().err)) == (not wanted)


def test_on_a_terminal_a_bar_is_drawn_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Console().task("train", 10) as advance:
        advance(10, "accuracy 50%")
    out, err = capsys.readouterr()
    assert out == ""
    assert "train" in err
    assert "10/10" in err
