"""Networks trained alone, from scratch, by one recipe: what a supernet's inherited accuracies are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from nas.evaluation.accuracy import model_accuracy
from nas.evaluation.data import Dataset
from nas.evaluation.finetune import Recipe, count_steps, train_model
from nas.progress import Talk
from nas.run_dir import append_row, read_rows
from nas.space.architecture import Architecture
from nas.workflows.compare import fresh_subnet
from nas.workflows.finetune import OnStep, side_by_side


def train_alone(
    architectures: Sequence[Architecture], dataset: Dataset, recipe: Recipe, seeds: int, path: Path, talk: Talk
) -> list[list[float]]:
    """Train each architecture from scratch, once per seed; give its accuracies on the validation split, [n][seeds].

    Every network is a line of `path` as soon as it is trained; those that have one are not trained again.
    """
    settings = {"data": dataset.name, "settings": asdict(recipe)}
    known = accuracies_of(read_rows(path, repair=True), settings)
    wanted = {f"{each.id}/{seed}": (each, seed) for seed in range(seeds) for each in architectures}
    validation, one_at_a_time = dataset.validation(), Lock()

    def train(name: str, on_step: OnStep) -> None:
        architecture, seed = wanted[name]
        with one_at_a_time:  # fresh weights come from the generator that all threads share
            model = fresh_subnet(architecture, dataset.num_classes, seed)
        trained = train_model(model, dataset, recipe, seed, on_step)
        accuracy, images = model_accuracy(trained, validation), count_steps(dataset, recipe) * recipe.batch_size
        row = {"id": architecture.id, "seed": seed, "accuracy": accuracy, "images": images, **settings}
        with one_at_a_time:
            append_row(path, {**row, "architecture": architecture.to_json()})
            known[name] = accuracy

    left = [name for name in wanted if name not in known]
    if left:
        side_by_side(left, "train alone", train, count_steps(dataset, recipe), talk)
    return [[known[f"{each.id}/{seed}"] for seed in range(seeds)] for each in architectures]


def accuracies_of(rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, float]:
    """Give what was reached with exactly these settings, by `id/seed`."""
    return {
        f"{row['id']}/{row['seed']}": row["accuracy"]
        for row in rows
        if all(row.get(name) == value for name, value in settings.items())
    }
