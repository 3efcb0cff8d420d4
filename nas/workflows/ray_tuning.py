"""Trials of recipes by Ray Tune: Optuna proposes, ASHA ends what falls behind, workers train side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.evaluation.finetune import Recipe, averaged, train_epochs
from nas.evaluation.tuning import first_trial, recipe_of, tuned_settings
from nas.progress import Talk
from nas.search.parallel import connect
from nas.supernet.divergence import Diverged
from nas.workflows.entrants import Conditions, Entrant

METRIC = "accuracy"  # on the validation split; the greatest is the best


def tune_on_ray(
    entrants: Sequence[Entrant],
    at: Conditions,
    trials: int,
    seed: int,
    folder: Path,
    talk: Talk,
    num_workers: int,
    ray_address: str | None,
) -> dict[str, Recipe]:
    """Give the recipe of the best trial of each entrant; workers share the trials of one after the other.

    A tuning that was killed is restored: finished trials stand as they are. `NasError` where Ray cannot be reached or
    has too few CPUs.
    """
    import ray

    connect(num_workers, ray_address)
    try:
        return {each.id: tune_one(each, at, trials, seed, folder, talk, num_workers) for each in entrants}
    finally:
        ray.shutdown()


def tune_one(
    entrant: Entrant, at: Conditions, trials: int, seed: int, folder: Path, talk: Talk, num_workers: int
) -> Recipe:
    """Run, or go on with, the trials of one network."""
    from ray import tune

    from nas.workflows.tuning import study_name

    name = study_name(entrant, at, seed)
    trial = tune.with_resources(tune.with_parameters(train_trial, entrant=entrant, at=at, seed=seed), {"cpu": 1})
    path = folder.resolve() / name
    if tune.Tuner.can_restore(str(path)):
        tuner = tune.Tuner.restore(str(path), trainable=trial, resume_unfinished=True, restart_errored=True)
    else:
        tuner = new_tuner(trial, at.recipe, trials, seed, num_workers, path)
    results: Any = tuner.fit()
    best = best_of(results, at.recipe)
    talk.say(f"{entrant.id}: {len(results)} trials, best {best.metrics[METRIC]:.2%} on validation: {best.config}")
    return recipe_of(at.recipe, best.config)


def best_of(results: Iterable[Any], base: Recipe) -> Any:
    """Give the best trial; of several the default recipe, else the one whose settings come first.

    Small validation splits make ties, and Ray gives trials in another order after a restore.
    """
    finished = [each for each in results if METRIC in (each.metrics or {})]
    if not finished:
        raise NasError("no trial ended: every one of them failed", "look at the errors in the trials' folders")
    settled = sorted(
        finished, key=lambda each: (each.config != first_trial(base), json.dumps(each.config, sort_keys=True))
    )
    return max(settled, key=lambda each: each.metrics[METRIC])


def new_tuner(trial: Any, base: Recipe, trials: int, seed: int, num_workers: int, path: Path) -> Any:
    """Begin a tuning whose state lies in `path`."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    searcher = OptunaSearch(
        tuned_settings(base), seed=seed, points_to_evaluate=[first_trial(base)], metric=METRIC, mode="max"
    )
    return tune.Tuner(
        trial,
        tune_config=tune.TuneConfig(
            search_alg=tune.search.ConcurrencyLimiter(searcher, num_workers),
            scheduler=ASHAScheduler(max_t=base.epochs, grace_period=1, reduction_factor=3),
            num_samples=trials,
            metric=METRIC,
            mode="max",
        ),
        run_config=tune.RunConfig(name=path.name, storage_path=str(path.parent), verbose=0),
    )


def train_trial(config: Mapping[str, Any], entrant: Entrant, at: Conditions, seed: int) -> None:
    """Train by one recipe in a worker, and report its validation accuracy after every epoch."""
    import torch
    from ray import tune

    torch.set_num_threads(1)
    recipe, validation = recipe_of(at.recipe, config), at.dataset.validation()
    try:
        for average in train_epochs(entrant.make(seed), at.dataset, recipe, seed, teacher=at.teacher):
            tune.report({METRIC: model_accuracy(averaged(average), validation)})
    except Diverged:
        tune.report({METRIC: 0.0})
