import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Hundred

from nas.errors import NasError
from nas.search.loop import search
from nas.search.problem import Objective, Problem, Stages
from nas.search.racing import Job, best_share, race

SHARES = (0.1, 0.25, 0.5, 1.0)
SPLIT = 2000


def answers(candidate):
    """Which of the split's items a candidate gets right; more for larger ones, with steps back."""
    chance = 0.5 + 0.4 * candidate / 99 + 0.05 * math.sin(candidate)
    return np.random.default_rng(candidate).random(SPLIT) < chance


def accuracies(candidates):
    return [float(answers(candidate).mean()) for candidate in candidates]


def costs(candidates):
    return [float(candidate % 10) for candidate in candidates]


class Counter:
    """Counts in each part of the split and adds up the items that were looked at."""

    def __init__(self):
        self.items = 0
        self.calls = []

    def __call__(self, candidate, stage):
        self.calls.append((candidate, stage))
        part = answers(candidate)[int(SPLIT * SHARES[stage - 1]) if stage else 0 : int(SPLIT * SHARES[stage])]
        self.items += len(part)
        return int(part.sum()), len(part)


CHEAP = Objective("cost", "min", costs)
FULL = Objective("accuracy", "max", accuracies, expensive=True)


def raced(counter):
    return Objective("accuracy", "max", accuracies, expensive=True, stages=Stages(SHARES, counter))


def run(objective, **changes):
    return search(Hundred(), **{"objectives": [objective, CHEAP], "budget": 100, "algorithm": "random", **changes})


def outcome_of(expensive, candidate, rivals, counted=(), signs=None):
    signs = signs or {"accuracy": -1.0, "cost": 1.0}
    rows = np.array(rivals).reshape(-1, len(signs))
    return race(expensive, Job(candidate, {"cost": 0.0}, signs, rows, counted), lambda: 0.0)


def values_of(evaluations):
    return {
        (evaluation.genome, evaluation.metrics["accuracy"], evaluation.metrics["cost"]) for evaluation in evaluations
    }


def test_a_race_finds_the_front_of_complete_evaluations_with_less_work():
    counter = Counter()
    result, complete = run(raced(counter)), run(FULL)
    assert values_of(result.front) == values_of(complete.front)
    assert [evaluation.genome for evaluation in result.evaluations] == [
        evaluation.genome for evaluation in complete.evaluations
    ]
    assert 0.3 < result.saved_share < 1
    assert result.saved_share == pytest.approx(1 - counter.items / (100 * SPLIT))
    assert complete.saved_share == 0


def test_every_member_of_the_front_has_seen_the_whole_split():
    result = run(raced(Counter()))
    assert all(evaluation.metrics["accuracy_share"] == 1 for evaluation in result.front)
    assert any(evaluation.metrics["accuracy_share"] < 1 for evaluation in result.evaluations)


def test_what_was_stopped_is_dominated_by_a_complete_evaluation():
    result = run(raced(Counter()))
    for evaluation in result.evaluations:
        if evaluation.metrics["accuracy_share"] < 1:
            assert any(
                accuracies([other.candidate])[0] >= evaluation.metrics["accuracy"]
                and other.metrics["cost"] <= evaluation.metrics["cost"]
                for other in result.front
            )


def test_the_first_batch_has_no_rivals_and_is_seen_whole():
    result = run(raced(Counter()), batch=10)
    assert all(
        evaluation.metrics["accuracy_share"] == 1 for evaluation in result.evaluations[:5]
    )  # half a batch, as nothing is known


def test_a_race_resumed_from_its_record_equals_one_never_interrupted():
    whole = run(raced(Counter()), algorithm="nsga2", batch=7)
    for k in (1, 20, 63):
        counter = Counter()
        known = {evaluation.genome: evaluation.metrics for evaluation in whole.evaluations[:k]}
        resumed = run(raced(counter), algorithm="nsga2", batch=7, known=known)
        assert resumed == whole
        assert not {candidate for candidate, _ in counter.calls} & {
            evaluation.candidate for evaluation in whole.evaluations[:k]
        }


def test_a_lone_candidate_is_counted_stage_by_stage_to_the_end_and_a_beaten_one_stops():
    counter = Counter()
    alone = outcome_of([raced(counter)], 50, [])
    assert alone.values == {"accuracy": accuracies([50])[0], "accuracy_share": 1.0}
    assert counter.calls == [(50, 0), (50, 1), (50, 2), (50, 3)]
    beaten = outcome_of([raced(counter)], 50, [[-1.0, 0.0]])
    assert beaten.values["accuracy_share"] == 0.1


def test_what_was_counted_before_is_not_counted_again_and_changes_no_outcome():
    whole = outcome_of([raced(Counter())], 50, [])
    for rivals in ([], [[-0.78, 0.0]], [[-1.0, 0.0]]):
        fresh = outcome_of([raced(Counter())], 50, rivals)
        for known in range(5):
            counter = Counter()
            again = outcome_of([raced(counter)], 50, rivals, counted=whole.counted[:known])
            assert again.values == fresh.values
            assert again.counted == whole.counted[: max(known, len(fresh.counted))]
            assert counter.calls == [(50, stage) for stage in range(known, len(fresh.counted))]


def test_a_share_to_be_made_small_is_raced_from_below():
    def count(candidate, stage):
        right, total = Counter()(candidate, stage)
        return total - right, total  # how many are wrong

    error = Objective("error", "min", lambda cs: [1 - a for a in accuracies(cs)], True, stages=Stages(SHARES, count))
    result = search(Hundred(), objectives=[error, CHEAP], budget=100, algorithm="random")
    assert {evaluation.genome for evaluation in result.front} == {evaluation.genome for evaluation in run(FULL).front}
    assert result.saved_share > 0.3


def test_other_expensive_objectives_are_evaluated_whole_before_the_race():
    energy = Objective("energy", "min", costs, expensive=True)
    signs = {"accuracy": -1.0, "energy": 1.0}
    outcome = outcome_of([raced(Counter()), energy], 55, [[-1.0, 4.0]], signs=signs)
    assert outcome.values["energy"] == 5.0
    assert outcome.values["accuracy_share"] == 0.1


def test_a_count_that_is_not_a_number_fails_the_candidate():
    broken = Objective("accuracy", "max", accuracies, True, stages=Stages((0.5, 1.0), lambda c, s: (math.nan, 100)))
    with pytest.raises(NasError, match="all 20 evaluations failed: accuracy not finite"):
        run(broken, budget=20)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from((0.1, 0.25, 0.5, 0.99)))
def test_the_best_likely_share_lies_on_the_good_side_of_the_estimate(total, share, part):
    correct = round(share * total)
    high, low = best_share(correct, total, part, -1.0), best_share(correct, total, part, 1.0)
    assert -1e-12 <= low <= correct / total + 1e-12
    assert correct / total - 1e-12 <= high <= 1 + 1e-12
    assert best_share(correct, total, 1.0, -1.0) == pytest.approx(correct / total)


def test_the_share_of_the_whole_split_hardly_ever_lies_beyond_the_bound():
    rng = np.random.default_rng(0)
    beyond = 0
    for _ in range(4000):
        split = rng.random(1000) < rng.uniform(0.3, 0.99)
        for part in (0.1, 0.5):
            seen = split[: int(part * 1000)]
            beyond += split.mean() > best_share(seen.sum(), len(seen), part, -1.0)
    assert beyond <= 30  # 8000 bounds at 3 standard deviations: 11 expected


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.2, 1.0), (0.0, 1.0), (0.5, 1.0, 1.0)])
def test_stages_rise_to_the_whole(shares):
    with pytest.raises(NasError, match="do not rise to 1"):
        Stages(shares, Counter())


def test_stages_belong_to_one_expensive_objective():
    with pytest.raises(NasError, match="not expensive"):
        Objective("cost", "min", costs, stages=Stages(SHARES, Counter()))
    other = Objective("error", "min", accuracies, True, stages=Stages(SHARES, Counter()))
    with pytest.raises(NasError, match="two objectives have stages"):
        Problem(Hundred(), (raced(Counter()), other))
