"""`nas train-supernet`: train one weight-sharing supernet into a run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.config import make_settings
from nas.data.datasets import load_dataset
from nas.errors import NasError
from nas.files import locked, read_json, read_jsonl
from nas.hardware.device import this_machine
from nas.progress import Console
from nas.run.folder import create_run, find_run, latest_search, write_config, write_manifest
from nas.run.staleness import digest
from nas.space.search_space import SearchSpace
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.tables import table_of
from nas.workflows.train_supernet.epochs import train_in
from nas.workflows.train_supernet.workers import check_workers, train_by_workers


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
    console: Console,
    workers: int = 1,
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Train the supernet of `space` on `data`; give what was reached. `settings` are those of `SupernetRecipe`.

    The number of workers is none of them: it changes the result by rounding only, and may change when resumed. They are
    processes of this machine, or of the Ray cluster at an address.
    """
    recipe = make_settings(SupernetRecipe, settings, overrides)
    check_workers(workers, recipe)
    dataset = load_dataset(data, seed)
    search_space = SearchSpace.load(space).with_classes(dataset.num_classes)
    if dataset.num_train < recipe.batch_size:
        raise NasError(f"'{dataset.name}' has fewer images than a batch of {recipe.batch_size}", "--set batch_size=8")
    asked = {"space": search_space.name, "data": data, "recipe": dataclasses.asdict(recipe)}
    asked |= {"sources": sources_of(recipe, search_space, console)}
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
            write_manifest(
                run, command_of(space, data, seed, recipe), seed, described, now, this_machine().fingerprint
            )  # last: now it is a run
        console.say(f"run {run}")
        if workers > 1 or ray_address is not None:
            train_by_workers(workers, ray_address, run, search_space, data, recipe, seed, console)
        else:
            train_in(run, search_space, dataset, recipe, seed, console)
    return {"run": str(run), "epochs": recipe.epochs, **last_row(run, recipe.epochs)}


def last_row(run: Path, epochs: int) -> Mapping[str, Any]:
    """Read what the last epoch reached; `NasError` where somebody has cut it off the log of a finished training."""
    rows = read_jsonl(run / "training.jsonl")
    if not rows or rows[-1].get("epoch") != epochs:
        raise NasError(
            f"{run}/training.jsonl has lost what epoch {epochs}, the last one, reached",
            f"The weights are whole, so go on: nas search --device cpu --run {run}; or train again in a new run",
        )
    return rows[-1]


def sources_of(recipe: SupernetRecipe, space: SearchSpace, console: Console) -> dict[str, str]:
    """Give the digests of what a training reads besides its data: a resumed one must find it unchanged."""
    found = {}
    if recipe.warm_start:
        path = Path(recipe.warm_start)
        found["warm_start"] = digest(path / "supernet.safetensors" if path.is_dir() else path)
    if recipe.front:
        found["front"] = digest(latest_search(Path(recipe.front)) / "front.json")
    if recipe.sampling_device:
        found["sampling_device"] = table_of(recipe.sampling_device, space, console).header["csv_sha256"]
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
