"""Trials of recipes by Ray Tune: Optuna proposes, ASHA ends what falls behind, workers train side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.files import JsonObject, append_jsonl, read_jsonl
from nas.progress import Console
from nas.search.parallel import connect
from nas.training.divergence import Diverged
from nas.training.network import Recipe, averaged, train_epochs
from nas.training.recipe_tuning import first_trial, recipe_of, tuned_settings
from nas.workflows.network_training.candidates import Candidate, Conditions, study_name
from nas.workflows.requests import RayWorkers

METRIC = "accuracy"  # on the validation split; the greatest is the best


def tune_on_ray(
    candidates: Sequence[Candidate],
    at: Conditions,
    trials: int,
    seed: int,
    folder: Path,
    console: Console,
    workers: RayWorkers,
) -> dict[str, Recipe]:
    """Return the recipe of the best trial of each candidate; workers share the trials of one after the other.

    A tuning that was killed goes on: finished trials stand as they are in `folder`, the others begin again. Ray's own
    records are pickles, which could execute code: they live in a temporary folder and are never read. `NasError` where
    Ray cannot be reached or has too few CPUs.
    """
    connect(workers.count, workers.address)
    import ray  # after it: what Ray binds to is settled when it is imported

    try:
        return {
            candidate.id: tune_one(candidate, at, trials, seed, folder, console, workers.count)
            for candidate in candidates
        }
    finally:
        ray.shutdown()


def tune_one(
    candidate: Candidate, at: Conditions, trials: int, seed: int, folder: Path, console: Console, num_workers: int
) -> Recipe:
    """Run the trials of one network that are not finished yet."""
    from ray import tune

    path = folder.resolve() / f"{study_name(candidate, at, seed)}.jsonl"
    known = read_jsonl(path, repair=True)
    if len(known) < trials:
        trial = tune.with_resources(
            tune.with_parameters(train_trial, candidate=candidate, at=at, seed=seed), {"cpu": 1}
        )
        with TemporaryDirectory() as storage:
            tuner(trial, at.recipe, known, trials, seed, num_workers, path, storage).fit()
    finished = read_jsonl(path)
    best = best_of(finished, at.recipe)
    console.say(f"{candidate.id}: {len(finished)} trials, best {best[METRIC]:.2%} on validation: {best['config']}")
    return recipe_of(at.recipe, best["config"])


def best_of(finished: Sequence[JsonObject], base: Recipe) -> JsonObject:
    """Return the best trial; of several the default recipe, else the one whose settings come first.

    Small validation splits make ties, and trials end in another order each time.
    """
    if not finished:
        raise NasError("no trial ended: every one of them failed", "Try one worker, which says why: --workers 1")
    settled = sorted(
        finished, key=lambda trial: (trial["config"] != first_trial(base), json.dumps(trial["config"], sort_keys=True))
    )
    return max(settled, key=lambda trial: trial[METRIC])


def tuner(
    trial: Any,
    base: Recipe,
    known: Sequence[JsonObject],
    trials: int,
    seed: int,
    num_workers: int,
    path: Path,
    storage: str,
) -> Any:
    """Make what runs the trials that are missing from `known`, and adds a line to `path` for each as it ends."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    class Recorder(tune.Callback):
        """Writes down each trial that has ended."""

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            """Add its line, unless it ended without a result."""
            if METRIC in (trial.last_result or {}):
                append_jsonl(path, {"config": trial.config, METRIC: trial.last_result[METRIC]})

    first = first_trial(base)
    searcher = OptunaSearch(
        tuned_settings(base),
        seed=1000 * seed + len(known),  # one that goes on draws other settings than it began with
        points_to_evaluate=None if any(trial_row["config"] == first for trial_row in known) else [first],
        metric=METRIC,
        mode="max",
    )
    for trial_row in known:
        searcher.add_evaluated_point(trial_row["config"], trial_row[METRIC])
    return tune.Tuner(
        trial,
        tune_config=tune.TuneConfig(
            search_alg=tune.search.ConcurrencyLimiter(searcher, num_workers),
            scheduler=ASHAScheduler(max_t=base.epochs, grace_period=1, reduction_factor=3),
            num_samples=trials - len(known),
            metric=METRIC,
            mode="max",
        ),
        run_config=tune.RunConfig(name="tuning", storage_path=storage, verbose=0, callbacks=[Recorder()]),
    )


def train_trial(config: JsonObject, candidate: Candidate, at: Conditions, seed: int) -> None:
    """Train by one recipe in a worker, and report its validation accuracy after every epoch."""
    import torch
    from ray import tune

    torch.set_num_threads(1)
    recipe, validation = recipe_of(at.recipe, config), at.dataset.validation()
    try:
        for average in train_epochs(candidate.make(seed), at.dataset, recipe, seed, teacher=at.teacher):
            tune.report({METRIC: model_accuracy(averaged(average), validation)})
    except Diverged:
        tune.report({METRIC: 0.0})
