from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest

from nas.hardware.measurement.protocol import Protocol, Visit, measure_interleaved, one_round, quantile, summarise


class FakeClock:
    """A clock that only the measured calls move."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.seconds

    def call(self, name: str, costs_ms: Iterable[float]) -> Callable[[], None]:
        left = iter(costs_ms)

        def run() -> None:
            self.calls.append(name)
            self.seconds += next(left) / 1e3

        return run


def test_every_round_visits_every_callable_before_the_next_round_begins() -> None:
    clock = FakeClock()
    callables = {name: clock.call(name, itertools.repeat(1.0)) for name in "abc"}
    measure_interleaved(callables, rounds=3, min_samples=6, clock=clock, wall_clock=clock)
    assert [name for name, _ in itertools.groupby(clock.calls)] == list("abcabcabc")


def test_the_minimum_is_reported_and_warm_up_calls_are_not() -> None:
    clock = FakeClock()
    costs = [0.6, 0.6, 0.6, 9.0, 2.0, 5.0, 7.0]  # three warm-up calls, which here are the shortest
    seen = measure_interleaved({"a": clock.call("a", costs)}, rounds=1, min_samples=4, clock=clock, wall_clock=clock)
    assert seen["a"].ms == pytest.approx(2.0)
    assert (seen["a"].ms_p50, seen["a"].ms_p95, seen["a"].n_samples) == (pytest.approx(5.0), pytest.approx(9.0), 4)


def test_short_calls_are_repeated_and_the_sample_divided() -> None:
    clock = FakeClock()
    call = clock.call("a", itertools.repeat(0.01))
    (visit,) = one_round([("a", call)], samples=7, protocol=Protocol(), clock=clock, wall_clock=clock)
    assert visit.samples_ms == pytest.approx([0.01] * 7)
    assert 7 * 50 <= len(clock.calls) - 3 <= 7 * 51  # 50 repetitions make 0.5 ms; rounding may add one


def test_samples_are_shared_out_over_the_rounds_without_falling_short() -> None:
    clock = FakeClock()
    seen = measure_interleaved({"a": clock.call("a", itertools.repeat(1.0))}, clock=clock, wall_clock=clock)
    assert (seen["a"].n_samples, seen["a"].n_rounds) == (21, 3)


def test_cpu_time_is_the_result_and_wall_time_is_kept_beside_it() -> None:
    cpu, wall = FakeClock(), FakeClock()

    def call() -> None:
        cpu.seconds += 1e-3
        wall.seconds += 4e-3

    seen = measure_interleaved({"a": call}, clock=cpu, wall_clock=wall)
    assert (seen["a"].ms, seen["a"].wall_ms_min) == (pytest.approx(1.0), pytest.approx(4.0))


def test_one_slow_round_counts_as_noise_but_not_against_a_minimum_that_the_others_share() -> None:
    seen = summarise(Visit("a", round_, (ms, ms * 2), ms) for round_, ms in enumerate((1.0, 1.8, 1.01)))["a"]
    assert seen.rel_noise == pytest.approx(0.8)
    assert seen.sigma_rel == pytest.approx(0.01)


def test_quantiles_are_samples_that_were_taken() -> None:
    ordered = [float(i) for i in range(1, 21)]
    assert [quantile(ordered, share) for share in (0.5, 0.95, 1.0)] == [10.0, 19.0, 20.0]


def test_a_long_call_is_sampled_as_often_as_its_time_allows_and_twice_at_least() -> None:
    for cost_ms, expected in ((1.0, 7), (150.0, 2), (900.0, 2)):
        clock = FakeClock()
        call = clock.call("a", itertools.repeat(cost_ms))
        (visit,) = one_round([("a", call)], samples=7, protocol=Protocol(), clock=clock, wall_clock=clock)
        assert len(visit.samples_ms) == expected


def test_the_median_of_the_rounds_medians_forgives_a_slow_and_a_fast_round() -> None:
    rounds = ((1.0, 1.2, 1.1), (9.0, 9.5, 9.2), (1.2, 1.3, 1.15))
    seen = summarise((Visit("a", round_, samples, 1.0) for round_, samples in enumerate(rounds)), "median")["a"]
    assert seen.ms == pytest.approx(1.2)
    assert seen.rel_noise == pytest.approx(9.2 / 1.1 - 1)
    assert seen.sigma_rel == pytest.approx(seen.rel_noise / 2)
