"""`nas train-supernet`: train one weight-sharing supernet into a run."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path

from nas.config import make_settings
from nas.data.datasets import load_dataset
from nas.errors import NasError
from nas.files import JsonObject, Stored, digest, read_jsonl, write_text
from nas.hardware.device import this_machine
from nas.progress import Console
from nas.run.manifest import new_manifest
from nas.run.run import WEIGHTS, Run
from nas.space.search_space import SearchSpace
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.requests import TrainRequest
from nas.workflows.tables import table_of
from nas.workflows.train_supernet.epochs import train_in
from nas.workflows.train_supernet.workers import check_workers, train_by_workers


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOutcome:
    """What a training reached: the last line of its log."""

    run: Run
    epochs: int
    last_row: Stored

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        return {"run": str(self.run), "epochs": self.epochs, **self.last_row}


def train_supernet(request: TrainRequest, console: Console) -> TrainOutcome:
    """Train the supernet of a space on a data set, into a new run or to the end of an interrupted one."""
    recipe = make_settings(SupernetRecipe, request.settings, request.overrides)
    check_workers(request.workers.count, recipe)
    dataset = load_dataset(request.data, request.seed)
    space = SearchSpace.load(request.space).with_classes(dataset.num_classes)
    if dataset.num_train < recipe.batch_size:
        raise NasError(f"'{dataset.name}' has fewer images than a batch of {recipe.batch_size}", "--set batch_size=8")
    sources = sources_of(recipe, space, console)
    if request.resume:
        run = Run.find(request.run)
        check_same(run, request, recipe, sources, space)
    else:
        run = Run.create(request.run, "train-supernet", request.now)
    with run.locked():
        if not request.resume:
            begin_run(run, request, recipe, sources, space)
        console.say(f"run {run}")
        if request.workers.together:
            train_by_workers(request.workers, run, space, request.data, recipe, request.seed, console)
        else:
            train_in(run, space, dataset, recipe, request.seed, console)
    return TrainOutcome(run=run, epochs=recipe.epochs, last_row=last_row(run, recipe.epochs))


def begin_run(
    run: Run, request: TrainRequest, recipe: SupernetRecipe, sources: dict[str, str], space: SearchSpace
) -> None:
    """Write config.yaml and, last, run.json: from then on the folder is a run."""
    import yaml

    settings = dataclasses.asdict(recipe)
    options = {"space": str(request.space), "data": request.data, "seed": request.seed, "settings": settings}
    write_text(run.config_path, yaml.safe_dump(options, sort_keys=False))
    run.write_manifest(
        new_manifest(
            command=command_of(request, recipe),
            now=request.now,
            number=run.next_number(),
            seed=request.seed,
            space=space,
            data=request.data,
            recipe=settings,
            sources=sources,
            machine=this_machine().fingerprint,
        )
    )


def last_row(run: Run, epochs: int) -> Stored:
    """Read what the last epoch reached; `NasError` where it is no longer in the log of a finished training."""
    rows = read_jsonl(run.log_path)
    if not rows or rows[-1].get("epoch") != epochs:
        raise NasError(
            f"{run.log_path} has lost what epoch {epochs}, the last one, reached",
            f"The weights are whole, so go on: nas search --device cpu --run {run}; or train again in a new run",
        )
    return rows[-1]


def sources_of(recipe: SupernetRecipe, space: SearchSpace, console: Console) -> dict[str, str]:
    """Return the digests of what a training reads besides its data: a resumed one must find it unchanged."""
    sources = {}
    if recipe.warm_start:
        path = Path(recipe.warm_start)
        sources["warm_start"] = digest_of(path / WEIGHTS if path.is_dir() else path)
    if recipe.front:
        sources["front"] = digest_of(Run(Path(recipe.front)).newest_search().summary_path)
    if recipe.sampling_device:
        sources["sampling_device"] = table_of(recipe.sampling_device, space, console).header.csv_sha256
    return sources


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; `NasError` where it is missing."""
    if not path.is_file():
        raise NasError(f"{path} is missing: the run has no trained supernet", "Train it: nas train-supernet --resume")
    return digest(path)


def command_of(request: TrainRequest, recipe: SupernetRecipe) -> str:
    """Return the command that trains the same again, however this training was started."""
    usual = dataclasses.asdict(SupernetRecipe())
    changed = {name: value for name, value in dataclasses.asdict(recipe).items() if value != usual[name]}
    words = ["nas", "train-supernet", "--space", request.space, "--data", request.data, "--seed", str(request.seed)]
    return shlex.join([*words, *(f"--set={name}={value}" for name, value in changed.items())])


def check_same(
    run: Run, request: TrainRequest, recipe: SupernetRecipe, sources: dict[str, str], space: SearchSpace
) -> None:
    """Raise `NasError` where a run was started with other settings."""
    manifest = run.manifest
    wanted = {
        "space": space.name,
        "data": request.data,
        "recipe": dataclasses.asdict(recipe),
        "sources": sources,
        "seed": request.seed,
        "space_hash": space.hash,
    }
    for name, value in wanted.items():
        before = getattr(manifest, name)
        if before != value:
            raise NasError(
                f"{run} was started with {name} = {before}, not {value}",
                "Resume with the settings it was started with, or start a new run",
            )
