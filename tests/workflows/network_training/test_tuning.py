import json
import math
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nas.errors import NasError
from nas.files import read_jsonl
from nas.progress import Console
from nas.run.run import Run, load_supernet
from nas.training.network import Recipe
from nas.workflows.finetune import conditions
from nas.workflows.network_training import ray_tuning, tuning
from nas.workflows.network_training.candidates import subnet_from_scratch
from nas.workflows.network_training.tuning import open_study, tune_all
from nas.workflows.requests import RayWorkers

RUN = Path("runs/tiny")
QUIET = Console(quiet=True)
BASE = Recipe(epochs=2, batch_size=256, ema_share=0.1)


@pytest.fixture
def at(workspace):
    return conditions(Run(RUN), BASE, load_supernet(RUN))


@pytest.fixture
def candidate(at):
    smallest = load_supernet(RUN).space.smallest()
    return subnet_from_scratch(smallest.id, smallest, at.dataset.num_classes)


def trials_of(candidate, at, folder):
    return [
        (trial.params, trial.value, trial.state)
        for trial in open_study(candidate, at, 0, folder).trials
        if trial.state != TrialState.FAIL
    ]


def test_what_is_tuned_is_at_least_as_good_as_the_recipe_it_began_with(at, candidate, tmp_path):
    found = tune_all([candidate], at, 4, 0, tmp_path, QUIET, RayWorkers())[candidate.id]
    (first, own, state), *others = trials_of(candidate, at, tmp_path)
    assert replace(BASE, **first) == BASE and state == TrialState.COMPLETE and len(others) == 3
    finished = {
        value: params for params, value, state in trials_of(candidate, at, tmp_path) if state.name == "COMPLETE"
    }
    assert found == replace(BASE, **finished[max(finished)]) and max(finished) >= own


def test_a_tuning_that_was_killed_repeats_nothing_and_finds_the_same(at, candidate, tmp_path, monkeypatch):
    whole = tune_all([candidate], at, 4, 0, tmp_path / "whole", QUIET, RayWorkers())
    run_trial, count = tuning.run_trial, [0]

    def killed(*given):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt  # the trial was asked for, and is left as running
        return run_trial(*given)

    monkeypatch.setattr(tuning, "run_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        tune_all([candidate], at, 4, 0, tmp_path / "killed", QUIET, RayWorkers())
    assert tune_all([candidate], at, 4, 0, tmp_path / "killed", QUIET, RayWorkers()) == whole
    assert count[0] == 5  # two, the one that was killed, and two more
    assert trials_of(candidate, at, tmp_path / "killed") == trials_of(candidate, at, tmp_path / "whole")
    tune_all([candidate], at, 4, 0, tmp_path / "killed", QUIET, RayWorkers())
    assert count[0] == 5


def test_trials_under_other_conditions_are_not_taken_for_these(at, candidate, tmp_path):
    tune_all([candidate], at, 1, 0, tmp_path, QUIET, RayWorkers())
    longer = replace(at, recipe=replace(BASE, epochs=3))
    assert len(open_study(candidate, at, 0, tmp_path).trials) == 1
    assert open_study(candidate, longer, 0, tmp_path).trials == open_study(candidate, at, 1, tmp_path).trials == []


def test_a_trial_that_diverges_is_behind_and_ends_nothing(at, candidate, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "recipe_of", lambda base, trial: replace(base, learning_rate=math.inf))
    with pytest.raises(NasError, match=r"every one of the 2 trials .* diverged.*learning_rate"):
        tune_all([candidate], at, 2, 0, tmp_path, QUIET, RayWorkers())
    assert [state for _, _, state in trials_of(candidate, at, tmp_path)] == [TrialState.PRUNED] * 2


def test_the_winning_recipe_lies_beside_the_model_and_can_be_run_again(
    searched_folder, nas, one_json, tmp_path, monkeypatch
):
    monkeypatch.chdir(shutil.copytree(searched_folder, tmp_path / "folder"))
    rules = ["--set", "batch_size=256", "--set", "ema_share=0.1", "--epochs", 2]
    told = nas("finetune", "--pick", "smallest", "--trials", 3, *rules, "--json")
    assert told.code == 0, told.err
    (model,) = one_json(told.out)["models"]
    assert model["trials"] == 3 and model["base_settings"]["epochs"] == 2
    assert "trial 3 of 3" in told.err and "validation" in told.err
    recipe = RUN / "models" / model["id"] / "recipe.yaml"
    assert recipe.is_file()
    again = one_json(nas("finetune", "--pick", "smallest", "--recipe", recipe, "--json").out)["models"][0]
    assert again["settings"] == model["settings"] and again["accuracy"] == model["accuracy"]


@pytest.mark.slow
def test_workers_tune_on_ray_and_a_tuning_that_was_killed_repeats_nothing_and_reads_no_pickle(at, candidate, tmp_path):
    folder = tmp_path / "tuning"
    found = tune_all([candidate], at, 3, 0, folder, QUIET, RayWorkers(count=2))[candidate.id]
    (path,) = folder.iterdir()  # nothing else is left there
    rows = read_jsonl(path)
    assert len(rows) == 3 and any(each["config"] == tuning.first_trial(BASE) for each in rows)
    best = max(each["accuracy"] for each in rows)  # several may have it: 300 images make ties
    assert found in [replace(BASE, **each["config"]) for each in rows if each["accuracy"] == best]
    whole = path.read_bytes()
    assert tune_all([candidate], at, 3, 0, folder, QUIET, RayWorkers(count=2))[candidate.id] == found
    assert path.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20])  # killed while it wrote the second line
    tune_all([candidate], at, 3, 0, folder, QUIET, RayWorkers(count=2))
    again = read_jsonl(path)
    assert again[0] == rows[0] and len({json.dumps(each["config"]) for each in again}) == 3


def test_among_equal_trials_the_default_recipe_wins_in_whatever_order_they_end():
    def told(accuracy, **config):
        return {"accuracy": accuracy, "config": config}

    first = told(0.5, **tuning.first_trial(BASE))
    equal = [told(0.5, learning_rate=0.1), told(0.5, learning_rate=0.2), told(0.4, learning_rate=0.3)]
    for order in permutations([first, *equal]):
        assert ray_tuning.best_of(order, BASE) is first
    for order in permutations(equal):
        assert ray_tuning.best_of(order, BASE) is equal[0]
    with pytest.raises(NasError, match="no trial ended"):
        ray_tuning.best_of([], BASE)
