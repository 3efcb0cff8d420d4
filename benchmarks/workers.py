"""A search on many workers in virtual time: how long they wait for each other, and what the front is worth.

    python benchmarks/workers.py [--workers 1000] [--budget 100000] [--at-once 100] [--ahead 0 29 79]

A job takes a time drawn from a lognormal distribution (sigma 0.5: one in forty takes more than 2.7 times the median).
Jobs go to whichever worker is free first; a batch is begun when the one that lies `ahead` + 1 batches before it has
ended with its last job, as in `nas.search.loop`. The serial search beside it has batches of 10 and one worker. Nothing
waits in real time.
"""

from __future__ import annotations

import argparse
import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nas.search.loop import search
from nas.search.problem import Objective
from nas.search.racing import Job, Outcome, race

SIGMA = 0.5
GENES = 24
RNG = np.random.default_rng(0)
GAIN, PAIRS = RNG.random((GENES, 4)), RNG.normal(size=(GENES, GENES)) / GENES


class Space:
    """24 genes of four choices: accuracy saturates and genes interact, latency adds up."""

    cardinalities = (4,) * GENES

    def active(self, genomes: np.ndarray) -> np.ndarray:
        return np.ones(genomes.shape, dtype=bool)

    def decode(self, genome: Any) -> tuple[int, ...]:
        return tuple(int(gene) for gene in genome)


def accuracy(candidates: Sequence[tuple[int, ...]]) -> list[float]:
    found = []
    for each in candidates:
        x = np.array(each) / 3
        found.append(float(1 - np.exp(-(GAIN[range(GENES), each].sum() + 2 * x.sum() + x @ PAIRS @ x) / 20)))
    return found


def latency(candidates: Sequence[tuple[int, ...]]) -> list[float]:
    return [float(np.sum((1 + np.arange(GENES) % 5) * np.array(each))) / 100 for each in candidates]


OBJECTIVES = [Objective("accuracy", "max", accuracy, expensive=True), Objective("latency", "min", latency)]


class Crowd:
    """Workers in virtual time. What is asked when a batch was told, begins then or when a worker is free."""

    def __init__(self, count: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.free = [0.0] * count  # when each worker is
        self.told = self.busy = 0.0

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Begin a batch; its end is told with its last outcome."""
        ends = [self.told]
        for duration in self.rng.lognormal(sigma=SIGMA, size=len(jobs)).tolist():
            ends.append(max(self.free[0], self.told) + duration)
            heapq.heapreplace(self.free, ends[-1])
            self.busy += duration
        return self.outcomes(jobs, max(ends))

    def outcomes(self, jobs: Sequence[Job], end: float) -> Iterator[Outcome]:
        """Yield the outcomes of a batch."""
        for number, job in enumerate(jobs, start=1):
            if number == len(jobs):
                self.told = max(self.told, end)
            yield race(OBJECTIVES[:1], job, time.perf_counter)

    @property
    def speed_up(self) -> float:
        """Over one worker."""
        return self.busy / max(self.free)

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they had nothing to do."""
        return 1 - self.speed_up / len(self.free)


def run(algorithm: str, budget: int, batch: int, ahead: int, seed: int, workers: Callable[..., Any]) -> float:
    """Give the hypervolume of a search, at one reference point for all."""
    reference = {"accuracy": 0.0, "latency": 2.5}
    found = search(
        Space(), objectives=OBJECTIVES, algorithm=algorithm, budget=budget, batch=batch, seed=seed,
        ahead=ahead, reference=reference, workers=workers,
    )  # fmt: skip
    return found.hypervolume_history[-1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--budget", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--ahead", type=int, nargs="+", default=[0, 29, 79])
    parser.add_argument("--algorithm", default="nsga2")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    serial = [run(asked.algorithm, asked.budget, 10, 0, seed, Crowd(1, seed)) for seed in range(asked.seeds)]
    spread = f"{min(serial):.4f} to {max(serial):.4f}"
    print(f"{asked.algorithm}, {asked.budget:,} evaluations; serial: hypervolume {spread}", flush=True)
    for ahead in asked.ahead:
        crowds = [Crowd(asked.workers, seed) for seed in range(asked.seeds)]
        found = [run(asked.algorithm, asked.budget, asked.at_once, ahead, i, crowd) for i, crowd in enumerate(crowds)]
        idle, speed_up = (np.mean(each) for each in ([c.idle for c in crowds], [c.speed_up for c in crowds]))
        print(
            f"{asked.workers:,} workers, {asked.at_once} at once, {ahead} ahead: idle {idle:.1%}, {speed_up:.0f} times "
            f"as fast, hypervolume {min(found):.4f} to {max(found):.4f} ({np.mean(found) / np.mean(serial) - 1:+.2%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
