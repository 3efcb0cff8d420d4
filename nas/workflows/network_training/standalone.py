"""Networks trained alone, from scratch, by one recipe: what a supernet's inherited accuracies are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import nn

from nas.data.datasets import Dataset
from nas.evaluation.accuracy import model_accuracy
from nas.progress import Console
from nas.space.architecture import Architecture
from nas.training.network import OnStep, Recipe, count_steps, train_model
from nas.workflows.network_training.candidates import fresh_subnet
from nas.workflows.network_training.jobs import TrainingJob, train_each


def train_standalone(
    architectures: Sequence[Architecture], dataset: Dataset, recipe: Recipe, seeds: int, path: Path, console: Console
) -> list[list[float]]:
    """Train each architecture from scratch, once per seed; give its accuracies on the validation split, [n][seeds].

    Every network is a line of `path` as soon as it is trained; those that have one are not trained again.
    """
    validation = dataset.validation()
    trainings = [
        standalone_job(architecture, seed, dataset, recipe) for seed in range(seeds) for architecture in architectures
    ]
    known = train_each(
        trainings, lambda model: {"accuracy": model_accuracy(model, validation)}, path, "train alone", console
    )
    return [[known[f"{architecture.id}/{seed}"]["accuracy"] for seed in range(seeds)] for architecture in architectures]


def standalone_job(architecture: Architecture, seed: int, dataset: Dataset, recipe: Recipe) -> TrainingJob[nn.Module]:
    """Return how one architecture is trained from scratch."""
    steps = count_steps(dataset, recipe)

    def train(model: nn.Module, on_step: OnStep) -> nn.Module:
        return train_model(model, dataset, recipe, seed, on_step)

    return TrainingJob(
        id=architecture.id,
        seed=seed,
        settings={"data": dataset.name, "settings": asdict(recipe)},
        steps=steps,
        make=partial(fresh_subnet, architecture, dataset.num_classes, seed),
        train=train,
        facts={"images": steps * recipe.batch_size, "architecture": architecture.to_json()},
    )
