"""What a comparison of trained networks is worth: paired differences over seeds, the searched networks as a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SURE = 0.05  # a difference of accuracies counts where chance would give it less often
CLEARLY = 1.5  # times the accuracy of chance
LATENCY_NOISE = 0.02  # share by which two measurements of one network may differ

Point = tuple[float, float]  # latency in ms, accuracy in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network that was trained with one or more seeds: the same seed sees the same batches in every network."""

    name: str
    latency_ms: float
    accuracies: Sequence[float]  # by seed

    @property
    def accuracy(self) -> float:
        """Return the mean over the seeds."""
        return sum(self.accuracies) / len(self.accuracies)


def paired_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the two-sided p of a paired t test over seeds; None with one seed, which says nothing about spread."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if len(differences) < 2:
        return None
    if max(differences) == min(differences):  # no spread at all: as sure as it gets, or the same
        return 1.0 if differences[0] == 0 else 0.0
    from scipy.stats import ttest_rel

    return float(ttest_rel(ours, theirs).pvalue)


def verdict(ours: Trained, theirs: Trained) -> str:
    """Return one line on how a searched network compares with a hand-designed one; noise counts as no difference."""
    p, seeds = paired_p(ours.accuracies, theirs.accuracies), len(ours.accuracies)
    gain, change = ours.accuracy - theirs.accuracy, ours.latency_ms / theirs.latency_ms - 1
    sure = p is not None and p < SURE
    better = 0 if p is not None and not sure else (gain > 0) - (gain < 0)
    faster = 0 if abs(change) <= LATENCY_NOISE else (change < 0) - (change > 0)
    gap = f"{change:+.0%} latency, {100 * gain:+.1f} points ({described_p(p)}{seeds} seed{'s' if seeds > 1 else ''})"
    if better >= 0 and faster >= 0 and better + faster > 0:
        word = "dominates" if better > 0 or p is None else "is as accurate as, and faster than,"
        return f"{word} {theirs.name}: {gap}"
    if better <= 0 and faster <= 0 and better + faster < 0:
        word = "is dominated by" if better < 0 or p is None else "is as accurate as, and slower than,"
        return f"{word} {theirs.name}: {gap}"
    if better == faster == 0:
        return f"no difference beyond noise from {theirs.name}: {gap}"
    speed, quality = "faster" if faster > 0 else "slower", "more" if better > 0 else "less"
    return f"{speed}, {quality} accurate than {theirs.name}: {gap}"


def has_learnt(accuracy: float, num_classes: int) -> bool:
    """Whether a network does clearly better than chance; one that does not is not compared."""
    return accuracy > CLEARLY / num_classes


def described_p(p: float | None) -> str:
    """Return a p value in words."""
    if p is None:
        return "spread unknown: "
    return "p<0.001, " if p < 0.001 else f"p={p:.2g}, "


def counterpart_of(theirs: Trained, searched: Sequence[Trained], merit: Sequence[float]) -> Trained:
    """Return the searched network to set against a hand-designed one.

    Of the networks that are not slower it is the best by `merit`; where all are slower, it is the fastest. `merit` is
    the accuracy on the validation split: a network chosen by the test split looks better than it is.
    """
    able = [
        (network, value)
        for network, value in zip(searched, merit, strict=True)
        if network.latency_ms <= theirs.latency_ms * (1 + LATENCY_NOISE)
    ]
    if able:
        return max(able, key=lambda pair: pair[1])[0]
    return min(searched, key=lambda network: network.latency_ms)


def front_of(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats, by rising latency and accuracy."""
    front: list[Point] = []
    for latency, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency, accuracy))
    return front


def accuracy_at(latency_ms: float, points: Sequence[Point]) -> float | None:
    """Return the accuracy of a front at a latency, interpolated over log latency; None where all of it is slower.

    Beyond its slowest network it stays at that one's accuracy: nothing is extrapolated.
    """
    front = front_of(points)
    if latency_ms < front[0][0]:
        return None
    for (low, worse), (high, better) in pairwise(front):
        if latency_ms < high:
            share = math.log(latency_ms / low) / math.log(high / low)
            return worse + share * (better - worse)
    return front[-1][1]


def latency_at(accuracy: float, points: Sequence[Point]) -> float | None:
    """Return the latency in ms at which a front has an accuracy, interpolated; None where it never has.

    Below its fastest network it stays at that one's latency.
    """
    front = front_of(points)
    if accuracy > front[-1][1]:
        return None
    for (low, worse), (high, better) in pairwise(front):
        if worse < accuracy <= better:
            share = (accuracy - worse) / (better - worse)
            return low * (high / low) ** share
    return front[0][0]
