import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_spaces import Blocks, Flat

from nas.errors import NasError
from nas.search.algorithms import ALGORITHMS
from nas.search.loop import MAX_BARREN, search
from nas.search.pareto import hypervolume
from nas.search.problem import Constraint, Objective, as_tuples, canonical
from nas.search.racing import one_by_one

EVERY_ALGORITHM = pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))


SPACE = Blocks()
MEMBERS = sorted(set(as_tuples(canonical(SPACE, np.array(list(itertools.product(*map(range, SPACE.cardinalities))))))))
GAINS = np.random.default_rng(5).uniform(0, 1, size=(4, 3))


def accuracy_of(candidate):
    rugged = sum(GAINS[i, choice] for i, choice in enumerate(candidate))
    return 0.5 + 0.06 * sum(candidate) + 0.03 * rugged + 0.03 * math.sin(7 * candidate[0] + 3 * candidate[-1])


def latency_of(candidate):
    return (1 + candidate[0]) * sum(1.0 + 0.3 * choice for choice in candidate[1:])


def accuracies(candidates):
    return [accuracy_of(candidate) for candidate in candidates]


def latencies(candidates):
    return [latency_of(candidate) for candidate in candidates]


ACCURACY = Objective("accuracy", "max", accuracies, expensive=True)
LATENCY = Objective("latency_ms", "min", latencies)
OBJECTIVES = (ACCURACY, LATENCY)
LIMIT = Constraint("latency_ms", 4.0, latencies)


def brute_force_front(limit=math.inf):
    points = {
        genome: (accuracy_of(c), latency_of(c)) for genome in MEMBERS if latency_of(c := SPACE.decode(genome)) <= limit
    }
    return {
        genome
        for genome, (accuracy, latency) in points.items()
        if not any(a >= accuracy and t <= latency and (a, t) != (accuracy, latency) for a, t in points.values())
    }


def run(**changes):
    return search(**{"space": SPACE, "objectives": OBJECTIVES, "budget": len(MEMBERS), **changes})


def genomes_of(evaluations):
    return [evaluation.genome for evaluation in evaluations]


def test_the_oracle_is_worth_having():
    assert len(MEMBERS) == 52
    assert 6 <= len(brute_force_front()) < 20
    assert 3 <= len(brute_force_front(LIMIT.at_most)) < len(brute_force_front())


@EVERY_ALGORITHM
@pytest.mark.parametrize("batch", [1, 9, 100])
def test_a_budget_of_the_whole_space_finds_exactly_the_brute_force_front(algorithm, batch):
    result = run(algorithm=algorithm, batch=batch)
    assert set(genomes_of(result.front)) == brute_force_front()
    assert set(genomes_of(result.evaluations)) == set(MEMBERS)
    assert len(result.evaluations) == result.num_asked == len(MEMBERS)
    assert result.stopped_by == "budget"


@EVERY_ALGORITHM
def test_under_a_limit_an_exhausted_space_gives_exactly_the_feasible_brute_force_front(algorithm):
    result = run(algorithm=algorithm, constraints=[LIMIT], budget=1000)
    assert set(genomes_of(result.front)) == brute_force_front(LIMIT.at_most)
    assert result.stopped_by == "exhausted"
    assert result.num_asked == len(MEMBERS) == len(result.evaluations) + result.num_infeasible


@EVERY_ALGORITHM
@pytest.mark.parametrize("initial", [[], [(0, 0, 0, 2, 2), (0, 0, 0, 0, 0), (1, 2, 1, 2, 2)]])
def test_no_candidate_is_evaluated_twice_and_no_infeasible_one_at_all(algorithm, initial):
    evaluated = []

    def watched(candidates):
        evaluated.extend(candidates)
        return accuracies(candidates)

    objectives = [Objective("accuracy", "max", watched, expensive=True), LATENCY]
    result = run(objectives=objectives, constraints=[LIMIT], algorithm=algorithm, budget=1000, initial=initial, batch=7)
    assert len(evaluated) == len(set(evaluated)) == len(result.evaluations)
    assert all(latency_of(candidate) <= LIMIT.at_most for candidate in evaluated)
    assert len(evaluated) == sum(latency_of(SPACE.decode(genome)) <= LIMIT.at_most for genome in MEMBERS)


def test_an_algorithm_that_repeats_itself_costs_no_evaluation_and_ends_the_search(monkeypatch):
    class Stubborn:
        def __init__(self, problem, rng):
            self.told = []

        def ask(self, n):
            return np.array([(0, 0, 0, 2, 2)] * n)  # not even canonical

        def tell(self, genomes, costs, violations):
            self.told += as_tuples(genomes)
            assert self.told == [(0, 0, 0, 0, 0)]

    monkeypatch.setattr("nas.search.loop.load_algorithm", lambda name: Stubborn)
    result = run()
    assert genomes_of(result.evaluations) == [(0, 0, 0, 0, 0)]
    assert result.stopped_by == "barren"


def test_initial_genomes_are_in_the_first_batch_in_canonical_form_and_count():
    result = run(initial=[(1, 2, 1, 2, 2), (0, 0, 0, 2, 2), (0, 0, 0, 0, 1)], budget=6, batch=4)
    assert genomes_of(result.evaluations)[:2] == [(0, 0, 0, 0, 0), (1, 2, 1, 2, 2)]  # a batch is sorted
    assert len(result.evaluations) == 6
    assert len(run(initial=MEMBERS, budget=5, batch=2).evaluations) == 5


@EVERY_ALGORITHM
def test_one_seed_gives_one_result_and_another_seed_another(algorithm):
    first, again, other = (run(algorithm=algorithm, seed=seed, budget=30, batch=8) for seed in (1, 1, 2))
    assert first == again
    if algorithm != "sensitivity":  # which draws nothing once it has a base
        assert genomes_of(first.evaluations) != genomes_of(other.evaluations)


def sometimes_failing(candidates):
    return [math.nan if candidate[-1] == 1 else accuracy_of(candidate) for candidate in candidates]


RESUMED = {
    "objectives": (Objective("accuracy", "max", sometimes_failing, expensive=True), LATENCY),
    "constraints": [Constraint("latency_ms", 6.0, latencies)],
    "budget": 25,
    "batch": 6,
    "initial": [(0, 0, 0, 0, 0)],
}


@EVERY_ALGORITHM
@settings(max_examples=8, deadline=None)
@given(k=st.integers(0, 25), seed=st.integers(0, 3))
def test_a_search_interrupted_anywhere_and_resumed_equals_one_never_interrupted(algorithm, k, seed):
    def interrupt(done, budget):
        if done == k:
            raise KeyboardInterrupt

    def watched(candidates):
        called.extend(candidates)
        return sometimes_failing(candidates)

    whole, before, after, called = [], [], [], []
    watching = {**RESUMED, "objectives": (Objective("accuracy", "max", watched, expensive=True), LATENCY)}
    uninterrupted = run(**RESUMED, algorithm=algorithm, seed=seed, record=whole.append)
    if k > 0:
        with pytest.raises(KeyboardInterrupt):
            run(**RESUMED, algorithm=algorithm, seed=seed, record=before.append, progress=interrupt)
    known = {evaluation.genome: evaluation.metrics for evaluation in before}
    resumed = run(**watching, algorithm=algorithm, seed=seed, known=known, record=after.append)
    assert called == [evaluation.candidate for evaluation in after]
    assert len(before) == k
    assert genomes_of(before + after) == genomes_of(whole) == genomes_of(resumed.evaluations)
    assert repr_without_seconds(resumed) == repr_without_seconds(uninterrupted)


def repr_without_seconds(result):
    """Everything a result holds, as text, in which NaN equals NaN."""
    rows = [
        (evaluation.genome, evaluation.candidate, sorted(evaluation.metrics.items()))
        for evaluation in result.evaluations
    ]
    history, front = result.hypervolume_history, genomes_of(result.front)
    return repr((rows, front, history, result.reference_point, result.num_asked, result.num_infeasible))


def test_a_resumed_search_refuses_records_without_its_objectives():
    known = {genome: {"latency_ms": 1.0} for genome in MEMBERS}
    with pytest.raises(NasError, match="no accuracy of genome"):
        run(known=known)


def test_each_evaluation_is_recorded_before_the_next_begins():
    events = []

    def watched(candidates):
        events.extend(("evaluate", candidate) for candidate in candidates)
        return accuracies(candidates)

    run(
        objectives=[Objective("accuracy", "max", watched, expensive=True), LATENCY],
        budget=10,
        record=lambda evaluation: events.append(("record", evaluation.candidate)),
        progress=lambda done, budget: events.append(("progress", done)),
    )
    candidates = [what for kind, what in events if kind == "record"]
    expected = [[("evaluate", c), ("record", c), ("progress", i + 1)] for i, c in enumerate(candidates)]
    assert len(candidates) == 10
    assert events == list(itertools.chain(*expected))


def test_seconds_are_what_the_clock_says_of_the_expensive_objectives():
    ticks = itertools.count()
    result = run(budget=3, clock=lambda: float(next(ticks)))
    assert [evaluation.seconds for evaluation in result.evaluations] == [1.0, 1.0, 1.0]


def test_an_unreachable_limit_is_named_with_the_smallest_value_seen():
    called = []
    objectives = [Objective("accuracy", "max", lambda cs: called.append(cs), expensive=True), LATENCY]
    params = Constraint("num_params", 100, lambda candidates: [len(candidate) for candidate in candidates])
    with pytest.raises(NasError) as error:
        run(objectives=objectives, constraints=[params, Constraint("latency_ms", 0.5, latencies)])
    assert error.value.message == "none of 52 candidates has latency_ms <= 0.5: the smallest latency_ms found is 1"
    assert "latency_ms" in error.value.hint
    assert not called


def test_limits_that_only_exclude_each_other_are_all_named():
    negated = Constraint("slowness", -4.0, lambda candidates: [-latency for latency in latencies(candidates)])
    with pytest.raises(NasError, match="latency_ms <= 3 and slowness <= -4 together") as error:
        run(constraints=[Constraint("latency_ms", 3.0, latencies), negated])
    assert "smallest found, each for itself: latency_ms 1, slowness -9" in error.value.hint


def test_a_search_that_finds_nothing_feasible_in_a_huge_space_gives_up():
    huge = Flat((5,) * 30)

    def needle(candidates):
        return [0.0 if not any(candidate) else 1.0 + max(candidate) for candidate in candidates]

    def total(candidates):
        return [float(sum(candidate)) for candidate in candidates]

    arguments = {"objectives": [Objective("total", "min", total)], "constraints": [Constraint("needle", 0.5, needle)]}
    result = search(huge, **arguments, algorithm="random", budget=5, batch=100, initial=[(0,) * 30])
    assert result.stopped_by == "barren"
    assert genomes_of(result.front) == [(0,) * 30]
    assert MAX_BARREN <= result.num_infeasible <= MAX_BARREN + 100
    with pytest.raises(NasError, match="has needle <= "):
        search(huge, **arguments, algorithm="random", budget=5, batch=100)


@EVERY_ALGORITHM
def test_failed_evaluations_are_recorded_count_and_never_reach_the_front(algorithm):
    result = run(
        objectives=(Objective("accuracy", "max", sometimes_failing, expensive=True), LATENCY), algorithm=algorithm
    )
    failed = [evaluation for evaluation in result.evaluations if evaluation.failed]
    assert len(result.evaluations) == len(MEMBERS)
    assert 0 < len(failed) == result.num_failed
    assert all(math.isnan(evaluation.metrics["accuracy"]) and evaluation.candidate[-1] == 1 for evaluation in failed)
    assert result.front
    assert not any(evaluation.failed for evaluation in result.front)
    assert all(math.isfinite(volume) for _, volume in result.hypervolume_history)


def test_a_cheap_value_that_fails_spares_the_expensive_one():
    called = []

    def watched(candidates):
        called.extend(candidates)
        return accuracies(candidates)

    broken = Objective("energy", "min", lambda cs: [math.nan if c[0] == 0 else 1.0 for c in cs])
    result = run(objectives=[Objective("accuracy", "max", watched, expensive=True), broken])
    assert called
    assert all(candidate[0] == 1 for candidate in called)
    assert result.num_failed == len(MEMBERS) - len(called)


def test_a_search_of_which_every_evaluation_fails_says_so():
    nan = Objective("accuracy", "max", lambda candidates: [math.nan] * len(candidates), expensive=True)
    with pytest.raises(NasError, match="all 10 evaluations failed: accuracy not finite"):
        run(objectives=[nan, LATENCY], budget=10)


def test_hypervolume_never_falls_ends_at_the_fronts_and_uses_one_reference_point():
    result = run(budget=40, batch=7, reference={"accuracy": 0.4, "latency_ms": 12.0})
    numbers, volumes = zip(*result.hypervolume_history, strict=True)
    assert numbers == (*range(4, 40, 4), 40)  # halves of a batch, as long as little is known
    assert list(volumes) == sorted(volumes)
    costs = [(-evaluation.metrics["accuracy"], evaluation.metrics["latency_ms"]) for evaluation in result.front]
    assert volumes[-1] == pytest.approx(hypervolume(np.array(costs), [-0.4, 12.0]))
    assert result.reference_point == {"accuracy": 0.4, "latency_ms": 12.0}


def test_batches_are_halves_until_enough_is_known(monkeypatch):
    monkeypatch.setattr("nas.search.loop.WELL_KNOWN", 12)
    ends = [count for count, _ in run(budget=40, batch=8).hypervolume_history]
    assert ends == [4, 8, 12, 20, 28, 36, 40]


def test_the_default_reference_point_lies_a_tenth_of_the_range_beyond_the_first_batch():
    result = run(budget=20, batch=5)
    first = [evaluation.metrics for evaluation in result.evaluations[:5]]
    high, low = max(m["accuracy"] for m in first), min(m["accuracy"] for m in first)
    slow, fast = max(m["latency_ms"] for m in first), min(m["latency_ms"] for m in first)
    expected = {"accuracy": low - 0.1 * (high - low), "latency_ms": slow + 0.1 * (slow - fast)}
    assert result.reference_point == pytest.approx(expected)
    assert result.hypervolume_history[0][1] > 0


def test_the_front_begins_with_the_best_of_the_first_objective():
    values = [evaluation.metrics["accuracy"] for evaluation in run().front]
    assert values == sorted(values, reverse=True)


def test_three_objectives_or_one_work_too():
    size = Objective("num_blocks", "min", lambda candidates: [float(len(candidate)) for candidate in candidates])
    many = run(objectives=(*OBJECTIVES, size))
    assert brute_force_front() <= set(genomes_of(many.front))
    (best,) = run(objectives=(ACCURACY,)).front
    assert best.metrics["accuracy"] == max(accuracies(map(SPACE.decode, MEMBERS)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget of a search must be at least 1"),
        ({"batch": 0}, "batch of a search must be at least 1"),
        ({"initial": [(0, 0, 0)]}, "initial genome"),
        ({"initial": [(0, 3, 0, 0, 0)]}, "initial genome"),
        ({"algorithm": "nsga3"}, "Did you mean 'nsga2'"),
        ({"reference": {"acuracy": 0.0}}, "Did you mean 'accuracy'"),
        ({"reference": {"accuracy": 0.0}}, "lacks latency_ms"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(NasError, match=message):
        run(**changes)


@EVERY_ALGORITHM
def test_with_batches_ahead_nothing_is_evaluated_twice_and_the_whole_space_gives_the_brute_force_front(algorithm):
    result = run(algorithm=algorithm, batch=4, ahead=3)
    assert sorted(genomes_of(result.evaluations)) == MEMBERS
    assert set(genomes_of(result.front)) == brute_force_front()


@EVERY_ALGORITHM
def test_with_batches_ahead_the_result_depends_on_nobodys_haste_and_survives_a_kill(algorithm):
    def eager(jobs):  # as workers that are done before anybody waits for them
        return iter(list(one_by_one([ACCURACY], iter(range(10**6)).__next__)(jobs)))

    whole = run(algorithm=algorithm, budget=30, batch=4, ahead=3)
    assert len(whole.evaluations) == 30
    assert repr_without_seconds(run(algorithm=algorithm, budget=30, batch=4, ahead=3, workers=eager)) == (
        repr_without_seconds(whole)
    )
    known = {evaluation.genome: evaluation.metrics for evaluation in whole.evaluations[:13]}
    again = run(algorithm=algorithm, budget=30, batch=4, ahead=3, known=known)
    assert repr_without_seconds(again) == repr_without_seconds(whole)


def test_batches_ahead_are_begun_before_the_oldest_is_complete():
    begun, recorded = [], []

    def workers(jobs):
        begun.append(len(jobs))
        return one_by_one([ACCURACY], iter(range(10**6)).__next__)(jobs)

    run(batch=4, ahead=2, budget=16, workers=workers, record=lambda evaluation: recorded.append(len(begun)))
    assert recorded[0] == 3  # the first evaluation is recorded when three batches have begun
