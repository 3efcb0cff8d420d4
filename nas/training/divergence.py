"""When a training has gone wrong: a NaN loss, or one that has jumped and stays there."""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 50  # steps: a jump that lasts as long is no bad batch
LEAST_JUMP = 1.0  # nats


class Diverged(Exception):
    """The weights are not worth going on from."""


def check_finite(step: int, **figures: float) -> None:
    """Raise `Diverged` where a figure of a step is not finite."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise Diverged(f"the {name} of step {step} is {value}")


def check_jump(step: int, losses: Sequence[float], lowest: float) -> None:
    """Raise `Diverged` where the last WINDOW of `losses` are far above the lowest mean of an epoch so far.

    Far is twice as high, and by LEAST_JUMP at least.
    """
    if len(losses) < WINDOW:
        return
    recent = sum(losses[-WINDOW:]) / WINDOW
    if recent > lowest + max(lowest, LEAST_JUMP):
        raise Diverged(f"the loss is {recent:.3g} over the last {WINDOW} steps up to {step}, after {lowest:.3g}")
