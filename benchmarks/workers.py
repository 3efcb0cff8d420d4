"""A search on many workers in virtual time: how long they wait for each other, and what the front is worth.

    python benchmarks/workers.py [--workers 1000] [--budget 20000] [--at-once 10 1000 5000] [--algorithm nsga2]

A job takes a time drawn from a lognormal distribution (sigma 0.5, as inherited accuracies of subnets of a space do),
jobs go to whichever worker is free first, and a batch ends with its last job, as in `nas.search.parallel`. The serial
search beside it has batches of 10 and one worker. Nothing waits in real time.
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
    """Workers in virtual time; a batch begins when the one before it has ended."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.rng = count, np.random.default_rng(seed)
        self.now = self.busy = 0.0

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Evaluate a batch."""
        free = [self.now] * self.count
        for duration in self.rng.lognormal(sigma=SIGMA, size=len(jobs)):
            heapq.heapreplace(free, free[0] + duration)
            self.busy += float(duration)
        self.now = max(free, default=self.now) if jobs else self.now
        return iter([race(OBJECTIVES[:1], job, time.perf_counter) for job in jobs])

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they had nothing to do."""
        return 1 - self.busy / (self.count * self.now)


def run(algorithm: str, budget: int, batch: int, seed: int, workers: Callable[..., Any]) -> float:
    """Give the hypervolume of a search, at one reference point for all."""
    reference = {"accuracy": 0.0, "latency": 2.5}
    found = search(
        Space(), objectives=OBJECTIVES, algorithm=algorithm, budget=budget, batch=batch, seed=seed,
        reference=reference, workers=workers,
    )  # fmt: skip
    return found.hypervolume_history[-1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, nargs="+", default=[10, 1000, 5000])
    parser.add_argument("--algorithm", default="nsga2")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    serial = [run(asked.algorithm, asked.budget, 10, seed, Crowd(1, seed)) for seed in range(asked.seeds)]
    print(f"{asked.algorithm}, {asked.budget:,} evaluations; serial: hypervolume {np.mean(serial):.4f}", flush=True)
    for at_once in asked.at_once:
        crowds = [Crowd(asked.workers, seed) for seed in range(asked.seeds)]
        volumes = [run(asked.algorithm, asked.budget, at_once, seed, crowd) for seed, crowd in enumerate(crowds)]
        idle, speed_up = np.mean([c.idle for c in crowds]), np.mean([c.busy / c.now for c in crowds])
        print(
            f"{asked.workers:,} workers, {at_once:>6,} at once: idle {idle:.1%}, {speed_up:.0f} times as fast, "
            f"hypervolume {np.mean(volumes):.4f} ({np.mean(volumes) / np.mean(serial) - 1:+.2%} of serial)",
            flush=True,
        )


if __name__ == "__main__":
    main()
