"""Tunes the recipe of each network by trials: Optuna alone in this process, Ray Tune for more workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.progress import Console
from nas.training.divergence import Diverged
from nas.training.network import OnStep, Recipe, averaged, count_steps, train_epochs
from nas.training.recipe_tuning import first_trial, recipe_of, tuned_settings
from nas.workflows.network_training.candidates import Candidate, Conditions, study_name
from nas.workflows.network_training.jobs import TrainingJob, side_by_side
from nas.workflows.requests import RayWorkers

if TYPE_CHECKING:
    from optuna import Study

STARTUP_TRIALS = 4  # drawn at random before the others learn from them


def tune_all(
    candidates: Sequence[Candidate],
    at: Conditions,
    trials: int,
    seed: int,
    folder: Path,
    console: Console,
    workers: RayWorkers,
) -> dict[str, Recipe]:
    """Return the recipe of the best of `trials` trials for each candidate, by validation accuracy.

    The first trial is `at.recipe` itself; trials that fall behind end early (ASHA). What is finished is kept in
    `folder` and never repeated.
    """
    if not trials:
        return {candidate.id: at.recipe for candidate in candidates}
    if workers.together:
        from nas.workflows.network_training.ray_tuning import tune_on_ray

        return tune_on_ray(candidates, at, trials, seed, folder, console, workers)
    recipes: dict[str, Recipe] = {}

    def training(candidate: Candidate) -> TrainingJob[Recipe]:
        def tune(_: nn.Module, on_step: OnStep) -> Recipe:
            return run_study(candidate, at, trials, seed, folder, on_step, console)

        steps = trials * count_steps(at.dataset, at.recipe)
        return TrainingJob(id=candidate.id, seed=seed, steps=steps, make=nn.Identity, train=tune)

    def keep(name: str, recipe: Recipe) -> None:
        recipes[name.rpartition("/")[0]] = recipe

    side_by_side([training(candidate) for candidate in candidates], f"tune, {trials} trials each", console, keep)
    return recipes


def run_study(
    candidate: Candidate, at: Conditions, trials: int, seed: int, folder: Path, on_step: OnStep, console: Console
) -> Recipe:
    """Run the trials of one network that are not finished yet; return the recipe of the best."""
    import optuna
    from optuna.trial import TrialState

    study = open_study(candidate, at, seed, folder)
    for left in study.get_trials(states=(TrialState.RUNNING,)):  # killed in the middle: that one begins again
        study.tell(left.number, state=TrialState.FAIL)
        study.enqueue_trial(left.params)
    while (number := len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))) < trials:
        # A sampler of its own for each trial: one that was resumed draws what the uninterrupted one would.
        study.sampler = optuna.samplers.TPESampler(seed=1000 * seed + number, n_startup_trials=STARTUP_TRIALS)
        if not study.trials:
            study.enqueue_trial(first_trial(at.recipe))
        trial = study.ask(tuned_settings(at.recipe))
        run_trial(study, trial, candidate, at, seed, number, trials, on_step)
        console.say(f"{candidate.id}: trial {number + 1} of {trials}: {told(study.trials[trial.number], study)}")
    if not study.get_trials(states=(TrialState.COMPLETE,)):
        raise NasError(f"every one of the {trials} trials of {candidate.id} diverged", "--set learning_rate=0.001")
    return recipe_of(at.recipe, study.best_params)


def run_trial(
    study: Study, trial: Any, candidate: Candidate, at: Conditions, seed: int, number: int, trials: int, on_step: OnStep
) -> None:
    """Train by one recipe, and tell its validation accuracy; end it when it falls behind."""
    from optuna.trial import TrialState

    recipe, validation = recipe_of(at.recipe, trial.params), at.dataset.validation()
    whole, model = count_steps(at.dataset, at.recipe), candidate.make(seed)

    def count(step: int, total: int) -> None:
        on_step(number * whole + step * whole // total, trials * whole)

    try:
        for epoch, average in enumerate(train_epochs(model, at.dataset, recipe, seed, count, at.teacher), start=1):
            accuracy = model_accuracy(averaged(average), validation)
            trial.report(accuracy, epoch)
            if epoch < recipe.epochs and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
    except Diverged:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, accuracy)


def open_study(candidate: Candidate, at: Conditions, seed: int, folder: Path) -> Study:
    """Open the study of a network under exactly these conditions, which lives in a file of `folder`."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "trials.journal"))),
        study_name=study_name(candidate, at, seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        direction="maximize",
        load_if_exists=True,
    )


def told(trial: Any, study: Study) -> str:
    """Return what came out of a trial."""
    settings = ", ".join(f"{name} {value:.3g}" for name, value in trial.params.items())
    if trial.state.name == "PRUNED":
        return f"{settings}: fell behind"
    return f"{settings}: {trial.value:.2%} (best {study.best_value:.2%}), validation"
