from __future__ import annotations

import pytest
from torch import nn

from nas.workflows.dry_run import time_estimates as timing
from nas.workflows.dry_run.time_estimates import (
    TIMED_STEPS,
    TIMED_TRAININGS,
    Enough,
    training_seconds,
    trainings_seconds,
)
from nas.workflows.network_training.jobs import TrainingJob


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is set by hand, in seconds."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    return now


def training(clock: list[float], steps: int, seconds: float, done: list[int]) -> TrainingJob[None]:
    """A training whose first step takes ten times as long as the others."""

    def train(model: nn.Module, on_step) -> None:
        for step in range(1, steps + 1):
            clock[0] += 10 * seconds if step == 1 else seconds
            done.append(step)
            on_step(step, steps)

    return TrainingJob(id="a", seed=0, steps=steps, make=nn.Identity, train=train)


def test_a_training_is_estimated_from_its_first_steps_and_no_more_are_done(clock: list[float]) -> None:
    done: list[int] = []
    assert training_seconds(training(clock, 1000, 0.5, done)) == pytest.approx(500.0)
    assert done == list(range(1, TIMED_STEPS + 2))


def test_a_training_of_fewer_steps_is_done_whole(clock: list[float]) -> None:
    assert training_seconds(training(clock, 3, 0.5, [])) == pytest.approx(1.5)
    assert training_seconds(training(clock, 1, 0.5, [])) == 0.0


def test_many_trainings_are_estimated_from_a_few_two_at_a_time(clock: list[float]) -> None:
    done: list[int] = []
    assert trainings_seconds([training(clock, 100, 1.0, done) for _ in range(20)]) == pytest.approx(1000.0)
    assert len(done) == TIMED_TRAININGS * (TIMED_STEPS + 1)
    assert trainings_seconds([]) == 0.0


def test_what_goes_wrong_in_a_timed_training_is_not_hidden() -> None:
    def train(model: nn.Module, on_step) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        training_seconds(TrainingJob(id="a", seed=0, steps=9, make=nn.Identity, train=train))
    assert not issubclass(ZeroDivisionError, Enough)
