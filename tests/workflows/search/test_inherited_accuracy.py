"""Accuracies counted in parts are those of the whole, wherever they are counted."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from nas.run.run import Run
from nas.search.racing import Job, one_by_one
from nas.space.search_space import SearchSpace
from nas.workflows.search.inherited_accuracy import RACED, WHOLE, InheritedAccuracy

RUN = Path("runs/tiny")
SIGNS = {"accuracy": -1.0}


@pytest.fixture
def some(toy_truth):
    space = SearchSpace.load("toy")
    return [architecture for architecture in space.everything() if architecture.id in list(toy_truth)[:5]]


@pytest.mark.parametrize("shares", [WHOLE, RACED])
def test_the_parts_make_up_the_accuracy_on_the_whole_split(workspace, toy_truth, some, shares):
    assert InheritedAccuracy(Run(RUN), shares).of(some) == [toy_truth[each.id]["accuracy"] for each in some]


def test_what_goes_to_another_process_counts_the_same_and_reads_no_file(workspace, some, monkeypatch):
    here = InheritedAccuracy(Run(RUN), RACED)
    expected = here.of(some)
    sent = pickle.dumps(InheritedAccuracy(Run(RUN), RACED))
    assert str(RUN).encode() not in sent
    monkeypatch.chdir("/")
    assert pickle.loads(sent).of(some) == expected


def test_a_subnet_is_taken_out_once_for_a_race_and_not_again_for_what_is_known(workspace, some, monkeypatch):
    from nas.evaluation.activation_cache import SubnetCounts

    taken = []
    take_out = SubnetCounts.extract
    monkeypatch.setattr(SubnetCounts, "extract", lambda *args: taken.append(args[1]) or take_out(*args))
    judge = InheritedAccuracy(Run(RUN), RACED)
    workers = judge.remembering(one_by_one([judge.objective], lambda: 0.0))
    jobs = [Job(each, {}, SIGNS, np.empty((0, 1))) for each in some]
    first, second = list(workers(jobs)), list(workers(jobs))
    assert first == second
    assert len(taken) == len(some)
    assert judge.of(some) == [outcome.values["accuracy"] for outcome in first]
    assert len(taken) == len(some)
