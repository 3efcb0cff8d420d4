"""The measuring protocol: how long callables take. It knows nothing of networks.

On a shared machine the median of wall time says more about the neighbours than about the code. So on a CPU: one thread,
CPU time, and the minimum over samples that are spread over several rounds; every round visits every callable, so that a
slow minute touches all of them and not one. A GPU is not shared, but its clock rate moves in both directions: there the
median of the rounds' medians of time on the wall, between moments at which the GPU has finished.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Clock = Callable[[], float]
SHORTEST_CALL_MS = 1e-4  # an empty Python call; keeps the repetitions finite where a clock stands still
FEWEST_SAMPLES = 2  # in a visit, however long the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a callable is timed: the statistic (`min` or `median`), the least length of a sample, calls before the first.

    A visit takes no more samples than fit into `max_visit_ms`, but two at least: a long call needs fewer.
    """

    statistic: str = "min"
    min_sample_ms: float = 0.5
    warmup: int = 3
    max_visit_ms: float = 400.0


PROTOCOLS = {"cpu": Protocol(), "cuda": Protocol(statistic="median", min_sample_ms=5.0)}


@dataclass(frozen=True, slots=True)
class Visit:
    """What one round saw of one callable: CPU milliseconds per call, sample by sample, and the least wall time."""

    name: str
    round: int
    samples_ms: tuple[float, ...]
    wall_ms_min: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """All visits of one callable together: `ms` is the minimum over all samples, or the median of the rounds' medians.

    `rel_noise` is the spread of the rounds' minima (or medians), greatest over least minus one. `sigma_rel` is the
    uncertainty of `ms`. Of a minimum: second least over least minus one, so that one slow round out of three does not
    count against a minimum that the other two agree on (median over minimum where there is only one round). Of a
    median: half the spread of the rounds.
    """

    ms: float
    ms_p50: float
    ms_p95: float
    n_samples: int
    n_rounds: int
    rel_noise: float
    sigma_rel: float
    wall_ms_min: float


def one_round(
    callables: Iterable[tuple[str, Callable[[], object]]],
    round_: int = 0,
    *,
    samples: int = 7,
    protocol: Protocol = PROTOCOLS["cpu"],
    clock: Clock = time.thread_time,
    wall_clock: Clock = time.perf_counter,
) -> Iterator[Visit]:
    """Visit every (name, callable) once, in order: warm it up, take its samples, yield the `Visit`.

    A call shorter than `min_sample_ms` is repeated within a sample and the sample divided by the repetitions.
    """
    for name, call in callables:
        call()  # the very first call packs weights and fills the memory arena
        once_ms = min(sample_ms(call, 1, clock, wall_clock)[0] for _ in range(max(1, protocol.warmup - 1)))
        once_ms = max(once_ms, SHORTEST_CALL_MS)
        repeats = max(1, math.ceil(protocol.min_sample_ms / once_ms))
        affordable = max(FEWEST_SAMPLES, int(protocol.max_visit_ms / (once_ms * repeats)))
        taken = [sample_ms(call, repeats, clock, wall_clock) for _ in range(min(samples, affordable))]
        yield Visit(name, round_, tuple(cpu for cpu, _ in taken), min(wall for _, wall in taken))


def sample_ms(call: Callable[[], object], repeats: int, clock: Clock, wall_clock: Clock) -> tuple[float, float]:
    """Time `repeats` calls in a row; milliseconds per call by `clock` and by `wall_clock`."""
    wall, start = wall_clock(), clock()
    for _ in range(repeats):
        call()
    elapsed, elapsed_wall = clock() - start, wall_clock() - wall
    return 1e3 * elapsed / repeats, 1e3 * elapsed_wall / repeats


def summarise(seen: Iterable[Visit], statistic: str = "min") -> dict[str, Measurement]:
    """Put the visits of each callable together, in the order of their first visit."""
    by_name: dict[str, list[Visit]] = defaultdict(list)
    for visit in seen:
        by_name[visit.name].append(visit)
    return {name: summarise_one(group, statistic) for name, group in by_name.items()}


def summarise_one(group: list[Visit], statistic: str = "min") -> Measurement:
    """Statistic, median, 95th percentile and noise of one callable."""
    samples = sorted(ms for visit in group for ms in visit.samples_ms)
    of_round = min if statistic == "min" else median
    rounds = sorted(of_round(visit.samples_ms) for visit in group)
    rel_noise = excess(rounds[-1], rounds[0])
    second = rounds[1] if len(rounds) > 1 else quantile(samples, 0.5)
    return Measurement(
        ms=of_round(rounds),
        ms_p50=quantile(samples, 0.5),
        ms_p95=quantile(samples, 0.95),
        n_samples=len(samples),
        n_rounds=len(group),
        rel_noise=rel_noise,
        sigma_rel=excess(second, rounds[0]) if statistic == "min" else rel_noise / 2,
        wall_ms_min=min(visit.wall_ms_min for visit in group),
    )


def excess(value: float, least: float) -> float:
    """By what share `value` exceeds `least`; 0 where the clock saw no time at all."""
    return value / least - 1 if least > 0 else 0.0


def quantile(ordered: list[float], share: float) -> float:
    """Take the sample that a `share` of the ordered samples does not exceed."""
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def measure_interleaved(
    callables: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 3,
    min_samples: int = 20,
    protocol: Protocol = PROTOCOLS["cpu"],
    clock: Clock = time.thread_time,
    wall_clock: Clock = time.perf_counter,
) -> dict[str, Measurement]:
    """Measure every callable over interleaved rounds, with `min_samples` where no call is too long for that many."""
    how: dict[str, Any] = {"protocol": protocol, "clock": clock, "wall_clock": wall_clock}
    samples = math.ceil(min_samples / rounds)
    visits = (
        visit for round_ in range(rounds) for visit in one_round(callables.items(), round_, samples=samples, **how)
    )
    return summarise(visits, protocol.statistic)
