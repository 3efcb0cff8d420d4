"""The epochs of a supernet's training in a run: each is logged, judged and written down, and can be gone back to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nas.data.datasets import Dataset
from nas.data.splits import AnySplit, Split, batches, take
from nas.errors import NasError
from nas.evaluation.accuracy import inherited_accuracy
from nas.files import JsonObject, append_log, read_jsonl, write_bytes, write_text
from nas.nn.global_rng import seeded
from nas.nn.ranks import SINGLE_PROCESS, Ranks
from nas.nn.tensor_file import save_checked
from nas.nn.threads import divided_cores
from nas.progress import Advance, Console
from nas.run.checkpoint import read_checkpoint, write_checkpoint
from nas.run.picks import front_members
from nas.run.run import Run
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet, sharing_of
from nas.training.divergence import Diverged
from nas.training.randaugment import augmented
from nas.training.supernet.conflict import cosines
from nas.training.supernet.image_importance import draw_images, gradient_norms
from nas.training.supernet.loop import ROLLBACK_RATE, SupernetTraining, train_epoch
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.tables import table_of
from nas.workflows.train_supernet.warm_start import warm_start

MOST_ROLLBACKS = 3
JUDGED_BATCHES = 8  # by whose gradients it is decided which shared tensors are split
JUDGED_IMAGES = 256  # at once, of an epoch, for how large their gradients are
LOGGED_SAMPLES = 1000  # of the validation split, for the accuracies in training.jsonl


def train_in(
    run: Run,
    space: SearchSpace,
    dataset: Dataset,
    recipe: SupernetRecipe,
    seed: int,
    console: Console,
    ranks: Ranks = SINGLE_PROCESS,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Train until the last epoch, from the run's last checkpoint if there is one; `written` is called after each.

    With several ranks, all read and write the checkpoint, in folders of their own; the first one judges and logs.
    """
    training = begin(space, recipe, seed, dataset.num_train // recipe.batch_size, console, ranks)
    state = read_checkpoint(run.path, console)
    if state is not None:
        apart = sharing_of(space, [name.removeprefix("weight/") for name in state]).split
        training = training.split(apart) if apart else training
        training.restore(state)
    else:
        write_checkpoint(run.path, training.state())
        written()
    keep_rows(run, training.epoch, ranks)
    calibration = dataset.calibration()
    logged = first_samples(dataset.validation(), LOGGED_SAMPLES)
    console.say(
        f"space {space.name}: {space.size:.3g} architectures; {recipe.epochs} epochs of "
        f"{training.steps_per_epoch * recipe.batch_size} images from {dataset.name}, seed {seed}"
    )
    with divided_cores(), console.task("train supernet", training.total_steps) as advance:
        while training.step < training.total_steps:
            start = time.monotonic()
            try:
                loss = one_epoch(training, dataset, advance)
            except Diverged as found:
                roll_back(training, run, found, console)
                continue
            training = split_where_due(training, dataset, console)
            if ranks.rank == 0:
                row = {**row_of(training, loss, logged, calibration), "seconds": time.monotonic() - start}
                append_log(run.log_path, row)
                write_bytes(run.weights_path, save_checked(training.average.state_dict()))
                advance(training.step, note_of(row))
            write_checkpoint(run.path, training.state())  # last: what it holds is never done again
            written()


def begin(
    space: SearchSpace, recipe: SupernetRecipe, seed: int, steps_per_epoch: int, console: Console, ranks: Ranks
) -> SupernetTraining:
    """Make a training that has not begun: fresh weights, or those that it starts warm from."""
    with seeded(seed):
        supernet = Supernet(space, ranks, recipe.sharing)
    if recipe.warm_start:
        share = warm_start(supernet, Path(recipe.warm_start))
        console.say(f"warm start: {share:.0%} of the weights come from {recipe.warm_start}")
    table = table_of(recipe.sampling_device, space, console) if recipe.sampling_device else None
    cost = None if table is None else (lambda architecture: table.predict(architecture).ms)
    front = front_members(Run(Path(recipe.front)), space) if recipe.front else []
    return SupernetTraining(supernet, recipe, seed, steps_per_epoch, cost, front)


def split_where_due(training: SupernetTraining, dataset: Dataset, console: Console) -> SupernetTraining:
    """Return kinds that are in conflict over a tensor one each, if this epoch is the one after which it is done."""
    before, due = (training.step - training.steps_per_epoch) / training.total_steps, training.recipe.split_after
    if not before < due <= training.step / training.total_steps < 1:
        return training
    rng = np.random.default_rng([training.seed, training.epoch, 13])
    images = batches(dataset.train(training.epoch), training.recipe.batch_size, rng, drop_last=True)
    cosine_of = cosines(training.supernet, list(islice(images, JUDGED_BATCHES)), training.seed)
    apart = sorted(name for name, cosine in cosine_of.items() if cosine < 0)
    console.say(
        f"{len(apart)} of {len(cosine_of)} tensors that kinds share are pulled apart by their gradients: now split"
    )
    return training.split(apart) if apart else training


def roll_back(training: SupernetTraining, run: Run, reason: Diverged, console: Console) -> None:
    """Go back to the last checkpoint with a lower rate; `NasError` after MOST_ROLLBACKS of them."""
    times = training.rollbacks + 1
    if times > MOST_ROLLBACKS:
        lower = f"{0.2 * training.recipe.learning_rate:.1g}"
        raise NasError(
            f"the training diverged again after {MOST_ROLLBACKS} roll-backs: {reason}",
            f"Start a new run with --set learning_rate={lower}, and see that the images are sound",
        ) from reason
    state = read_checkpoint(run.path, console)
    assert state is not None, "one is written before the first step"
    training.restore(state)
    training.rollbacks = times
    factor = ROLLBACK_RATE**times
    console.say(f"diverged: {reason}; back to epoch {training.epoch} with {factor:g} times the rate ({times})")


def one_epoch(training: SupernetTraining, dataset: Dataset, advance: Advance) -> float:
    """Train one epoch; return the mean loss of the largest subnets."""
    epoch, size, share = training.epoch, training.recipe.batch_size, training.supernet.ranks.share
    rng, split = np.random.default_rng([training.seed, epoch]), dataset.train(epoch)
    if training.recipe.image_importance:
        norms = gradient_norms(training.supernet, training.supernet.space.largest(), batches(split, JUDGED_IMAGES))
        split = take(split, draw_images(norms, training.step / training.total_steps, rng))
    parts = batches(split, size, rng, drop_last=True, share=share)
    parts = augmented(parts, dataset, training.recipe.randaugment, [training.seed, epoch], share)
    return train_epoch(training, parts, lambda step: advance(step, ""))


def row_of(training: SupernetTraining, loss: float, logged: AnySplit, calibration: Tensor) -> JsonObject:
    """Return how far the averaged weights are; accuracies are on the validation split."""
    space = training.supernet.space
    averaged = Supernet(space, sharing=training.supernet.sharing)
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
    return {"epoch": training.epoch, "images": images, "loss": loss, "rollbacks": training.rollbacks, **reached}


def note_of(row: JsonObject) -> str:
    """Return in a few words what an epoch reached."""
    return " ".join(f"{name} {100 * row[f'accuracy_{name}']:.1f}%" for name in ("largest", "smallest", "random"))


def keep_rows(run: Run, epochs: int, ranks: Ranks) -> None:
    """Drop log lines of epochs that the checkpoint does not hold: a kill may fall between the two writes."""
    if ranks.rank > 0:
        return
    rows = read_jsonl(run.log_path, repair=True)
    kept = [row for row in rows if row["epoch"] <= epochs]
    if len(kept) < len(rows):
        write_text(run.log_path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in kept))


def first_samples(split: Any, count: int) -> Any:
    """Return the first samples of a split that is held in memory, in its fixed order; a lazy one as it is."""
    if isinstance(split, Split):
        return Split(split.images[:count], split.labels[:count])
    return split
