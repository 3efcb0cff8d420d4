"""`nas train-supernet`: train one weight-sharing supernet into a run."""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.config import make_settings
from nas.errors import NasError
from nas.evaluation.accuracy import inherited_accuracy
from nas.evaluation.data import Dataset, Split, load_dataset
from nas.evaluation.splits import batches
from nas.progress import Talk
from nas.run_dir import (
    append_row,
    create_run,
    find_run,
    locked,
    read_json,
    read_rows,
    write_bytes,
    write_config,
    write_manifest,
    write_text,
)
from nas.space.search_space import SearchSpace
from nas.supernet.divergence import Diverged
from nas.supernet.recipe import SupernetRecipe
from nas.supernet.supernet import Supernet
from nas.supernet.threads import divided_cores
from nas.supernet.training import ROLLBACK_RATE, SupernetTraining, train_epoch
from nas.workflows.checkpoint import read_checkpoint, write_checkpoint
from nas.workflows.provenance import digest
from nas.workflows.tables import table_of
from nas.workflows.warm_start import warm_start
from nas.workflows.weights import save_tensors

MOST_ROLLBACKS = 3
LOGGED_SAMPLES = 1000  # of the validation split, for the accuracies in training.jsonl


def train_supernet(
    *,
    space: str,
    data: str,
    run: Path | None,
    seed: int,
    resume: bool,
    overrides: Sequence[str],
    settings: dict[str, Any],
    now: datetime,
    talk: Talk,
) -> dict[str, Any]:
    """Train the supernet of `space` on `data`; give what was reached. `settings` are those of `SupernetRecipe`."""
    recipe = make_settings(SupernetRecipe, settings, overrides)
    dataset = load_dataset(data, seed)
    search_space = SearchSpace.load(space).with_classes(dataset.num_classes)
    if dataset.num_train < recipe.batch_size:
        raise NasError(f"'{dataset.name}' has fewer images than a batch of {recipe.batch_size}", "--set batch_size=8")
    asked = {"space": search_space.name, "data": data, "recipe": dataclasses.asdict(recipe)}
    asked |= {"sources": sources_of(recipe, search_space, talk)}
    if resume:
        run = find_run(run)
        check_same(run, asked, seed, search_space)
    else:
        run = create_run(run, "train-supernet", now)
    with locked(run):
        if not resume:
            described = {**asked, "space_definition": search_space.to_dict(), "space_hash": search_space.hash}
            options = {"space": str(space), "data": data, "seed": seed, "settings": dataclasses.asdict(recipe)}
            write_config(run, options)
            write_manifest(run, command_of(space, data, seed, recipe), seed, described, now)  # last: now it is a run
        return train_in(run, search_space, dataset, recipe, seed, talk)


def sources_of(recipe: SupernetRecipe, space: SearchSpace, talk: Talk) -> dict[str, str]:
    """Give the digests of what a training reads besides its data: a resumed one must find it unchanged."""
    found = {}
    if recipe.warm_start:
        path = Path(recipe.warm_start)
        found["warm_start"] = digest(path / "supernet.safetensors" if path.is_dir() else path)
    if recipe.sampling_device:
        found["sampling_device"] = table_of(recipe.sampling_device, space, talk).header["csv_sha256"]
    return found


def command_of(space: str, data: str, seed: int, recipe: SupernetRecipe) -> str:
    """Write the command that trains the same again, wherever this training was started from."""
    usual = dataclasses.asdict(SupernetRecipe())
    changed = {name: value for name, value in dataclasses.asdict(recipe).items() if value != usual[name]}
    words = ["nas", "train-supernet", "--space", space, "--data", data, "--seed", str(seed)]
    return shlex.join([*words, *(f"--set={name}={value}" for name, value in changed.items())])


def check_same(run: Path, asked: dict[str, Any], seed: int, space: SearchSpace) -> None:
    """Refuse to resume a run that was started with other settings."""
    manifest = read_json(run / "run.json")
    for name, value in {**asked, "seed": seed, "space_hash": space.hash}.items():
        if manifest.get(name) != value:
            raise NasError(
                f"{run} was started with {name} = {manifest.get(name)}, not {value}",
                "Resume with the settings it was started with, or start a new run",
            )


def train_in(
    run: Path, space: SearchSpace, dataset: Dataset, recipe: SupernetRecipe, seed: int, talk: Talk
) -> dict[str, Any]:
    """Train until the last epoch, from the run's last checkpoint if there is one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        supernet = Supernet(space)
    steps = dataset.num_train // recipe.batch_size
    if recipe.warm_start:
        share = warm_start(supernet, Path(recipe.warm_start))
        talk.say(f"warm start: {share:.0%} of the weights come from {recipe.warm_start}")
    table = table_of(recipe.sampling_device, space, talk) if recipe.sampling_device else None
    cost = None if table is None else (lambda each: table.predict(each).ms)
    training = SupernetTraining(supernet, recipe, seed, steps, cost)
    state = read_checkpoint(run, talk)
    if state is None:
        write_checkpoint(run, training.state())
    else:
        training.restore(state)
    keep_rows(run, training.epoch)
    validation, calibration = dataset.validation(), dataset.calibration()
    logged = first_samples(validation, LOGGED_SAMPLES)
    talk.say(
        f"space {space.name}: {space.size:.3g} architectures; {recipe.epochs} epochs of {steps * recipe.batch_size} "
        f"images from {dataset.name}, seed {seed}; run {run}"
    )
    row: dict[str, Any] = {}
    with divided_cores(), talk.task("train supernet", training.total_steps) as advance:
        while training.step < training.total_steps:
            try:
                row = one_epoch(training, dataset, logged, calibration, advance)
            except Diverged as found:
                roll_back(training, run, found, talk)
                continue
            append_row(run / "training.jsonl", row)
            write_bytes(run / "supernet.safetensors", save_tensors(training.average.state_dict()))
            write_checkpoint(run, training.state())  # last: what it holds is never done again
            advance(training.step, note_of(row))
    rows = read_rows(run / "training.jsonl")
    return {"run": str(run), "epochs": training.epoch, **(rows[-1] if rows else {})}


def roll_back(training: SupernetTraining, run: Path, found: Diverged, talk: Talk) -> None:
    """Go back to the last checkpoint with a lower rate; `NasError` after MOST_ROLLBACKS of them."""
    times = training.rollbacks + 1
    if times > MOST_ROLLBACKS:
        lower = f"{0.2 * training.recipe.learning_rate:.1g}"
        raise NasError(
            f"the training diverged again after {MOST_ROLLBACKS} roll-backs: {found}",
            f"Start a new run with --set learning_rate={lower}, and see that the images are sound",
        ) from found
    state = read_checkpoint(run, talk)
    assert state is not None, "one is written before the first step"
    training.restore(state)
    training.rollbacks = times
    factor = ROLLBACK_RATE**times
    talk.say(f"diverged: {found}; back to epoch {training.epoch} with {factor:g} times the rate ({times})")


def one_epoch(
    training: SupernetTraining, dataset: Dataset, logged: Split, calibration: torch.Tensor, advance: Any
) -> dict[str, Any]:
    """Train one epoch and say how far the averaged weights are; accuracies are on the validation split."""
    start, epoch = time.monotonic(), training.epoch
    rng = np.random.default_rng([training.seed, epoch])
    parts = batches(dataset.train(epoch), training.recipe.batch_size, rng, drop_last=True)
    loss = train_epoch(training, parts, lambda step: advance(step, ""))
    space = training.supernet.space
    averaged = Supernet(space)
    averaged.load_state_dict(training.average.state_dict())
    probes = {
        "largest": space.largest(),
        "smallest": space.smallest(),
        "random": space.sample(np.random.default_rng([training.seed, 3])),
    }
    reached = {
        f"accuracy_{name}": inherited_accuracy(averaged, architecture, calibration, logged)
        for name, architecture in probes.items()
    }
    images = training.step * training.recipe.batch_size
    return {
        "epoch": epoch + 1,
        "images": images,
        "loss": loss,
        "rollbacks": training.rollbacks,
        **reached,
        "seconds": time.monotonic() - start,
    }


def note_of(row: dict[str, Any]) -> str:
    """Say in a few words what an epoch reached."""
    return " ".join(f"{name} {100 * row[f'accuracy_{name}']:.1f}%" for name in ("largest", "smallest", "random"))


def keep_rows(run: Path, epochs: int) -> None:
    """Drop log lines of epochs that the checkpoint does not hold: a kill may fall between the two writes."""
    import json

    rows = read_rows(run / "training.jsonl", repair=True)
    kept = [row for row in rows if row["epoch"] <= epochs]
    if len(kept) < len(rows):
        write_text(run / "training.jsonl", "".join(json.dumps(row, sort_keys=True) + "\n" for row in kept))


def first_samples(split: Any, count: int) -> Any:
    """Give the first samples of a split that is held in memory, in its fixed order; a lazy one as it is."""
    if isinstance(split, Split):
        return Split(split.images[:count], split.labels[:count])
    return split
