"""`nas finetune`: train picked subnets for their own sake, judge them on the test split, export them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import nn

from nas.config import make_settings
from nas.data.datasets import Dataset
from nas.errors import NasError, did_you_mean
from nas.evaluation.accuracy import model_accuracy
from nas.export.description import BitsDescription, ModelDescription, Settings, TrainingDescription
from nas.export.kernels import integer_kernels, promised_kernels
from nas.export.onnx import export_onnx
from nas.files import JsonObject, read_json, write_bytes, write_json, write_text
from nas.hardware.table.header import TableScope
from nas.hardware.table.latency_table import Latency
from nas.hardware.table.provenance import describe
from nas.nn.biases import round_biases
from nas.nn.subnet import Subnet, build_subnet, fold_norms
from nas.nn.tensor_file import load_tensors, save_checked
from nas.progress import Console
from nas.run.picks import pick_rows
from nas.run.run import Run
from nas.run.staleness import check_weights
from nas.search.evaluation_row import FrontMember
from nas.space.architecture import Architecture
from nas.space.operator import operators
from nas.supernet.supernet import Supernet
from nas.training.network import Recipe
from nas.training.quantized import has_bits
from nas.workflows.network_training.candidates import (
    Candidate,
    Conditions,
    Tuned,
    described_training,
    inherited_subnet,
    largest_teacher,
    subnet_from_scratch,
    training_of,
)
from nas.workflows.network_training.jobs import side_by_side
from nas.workflows.network_training.tuning import tune_all
from nas.workflows.requests import FinetuneRequest

STARTS = ("inherited", "scratch")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOutcome:
    """What `nas finetune` trained: a model.json per network, and the table that priced them."""

    run: Run
    models: Sequence[ModelDescription]
    table: TableScope

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        return {"run": str(self.run), "models": [model.to_json() for model in self.models], "table": asdict(self.table)}


def finetune(request: FinetuneRequest, console: Console) -> FinetuneOutcome:
    """Train the picked members of the newest front, from inherited weights or from scratch.

    With `trials` the recipe of each is tuned first; a tuning that was killed goes on.
    """
    run, picked = asked_of(request)
    recipe, seed, trials = make_settings(Recipe, request.settings, request.overrides), request.seed, request.trials
    rows = {row.id: row for row in picked}
    with run.locked():
        supernet = run.supernet()
        at = conditions(run, recipe, supernet)
        candidates = [candidate_of(row.architecture, request.start, supernet, at.dataset) for row in picked]
        recipes = tune_all(candidates, at, trials, seed, run.tuning_path, console, request.workers)
        own = {identity: replace(at, recipe=tuned) for identity, tuned in recipes.items()}
        base = asdict(recipe)
        by_id, written = {candidate.id: candidate for candidate in candidates}, {}

        def write(name: str, tuned: Tuned) -> None:
            identity = name.partition("/")[0]
            facts = replace(described_training(by_id[identity], own[identity], seed), trials=trials, base_settings=base)
            written[identity] = write_finetuned(run, rows[identity], tuned, at.dataset, facts)

        jobs = [training_of(candidate, seed, own[candidate.id]) for candidate in candidates]
        side_by_side(jobs, "finetune", console, write)
    return FinetuneOutcome(
        run=run, models=[written[identity] for identity in rows], table=run.newest_search().summary().table
    )


def asked_of(request: FinetuneRequest) -> tuple[Run, list[FrontMember]]:
    """Return the run and the members of its newest front that are to be trained.

    `NasError` for an unknown pick or start, and where the supernet was trained further since the search.
    """
    run = Run.find(request.run)
    if request.start not in STARTS:
        raise NasError(f"no weights '{request.start}' to start from", did_you_mean(request.start, STARTS))
    search = run.newest_search()
    check_weights(run, search)
    return run, pick_rows(search.front(), request.picks)


def conditions(run: Run, recipe: Recipe, supernet: Supernet) -> Conditions:
    """Return what the trainings of a run's networks share."""
    dataset = run.dataset()
    teacher = largest_teacher(supernet, dataset) if recipe.distill else None
    return Conditions(dataset=dataset, recipe=recipe, teacher=teacher, weights=run.weights_digest())


def candidate_of(architecture: Architecture, start: str, supernet: Supernet, dataset: Dataset) -> Candidate:
    """Return a subnet with the weights that it is to start from."""
    if start == "scratch":
        return subnet_from_scratch(architecture.id, architecture, dataset.num_classes)
    return inherited_subnet(architecture, supernet, dataset)


def write_finetuned(
    run: Run, row: FrontMember, tuned: Tuned, dataset: Dataset, training: TrainingDescription
) -> ModelDescription:
    """Judge a subnet whose `training` is described and write RUN/models/<id>/; return what model.json says."""
    model = deployed(tuned.model)
    described = ModelDescription(
        architecture=row.architecture,
        num_classes=dataset.num_classes,
        training=training,
        bits=described_bits(row.architecture, model, tuned.parent, dataset),
        inherited_accuracy=row.accuracy,
        validation_accuracy=model_accuracy(model, dataset.validation()),
        accuracy=model_accuracy(model, dataset.test()),
        latency_ms=row.latency_ms,
        latency_low_ms=row.latency_low_ms,
        latency_high_ms=row.latency_high_ms,
        provenance=row.provenance,
        num_params=row.num_params,
        macs=row.macs,
        size_bytes=row.size_bytes,
    )
    write_model(run.model(row.id), model, described)
    return described


def deployed(trained: nn.Module) -> Subnet:
    """Return a trained subnet as it leaves: norms folded, biases of integer layers as their kernels round them."""
    assert isinstance(trained, Subnet)
    model = copy.deepcopy(trained)
    fold_norms(model)
    round_biases(model, (1, 3, model.resolution, model.resolution))
    return model


def described_bits(
    architecture: Architecture, trained: nn.Module, parent: nn.Module, dataset: Dataset
) -> BitsDescription | None:
    """Return for model.json what bits cost and what of the network runs on integers; None for a float network."""
    if not has_bits(architecture):
        return None
    shape = (1, 3, architecture.resolution, architecture.resolution)
    exported = export_onnx(trained, shape)
    return BitsDescription(
        float_accuracy=model_accuracy(parent, dataset.test()),
        integer_kernels=dict(integer_kernels(exported)),
        promised_kernels=dict(promised_kernels(operators(architecture, dataset.num_classes))),
        file_bytes=len(exported),
    )


def write_model(folder: Path, model: Subnet, described: ModelDescription) -> None:
    """Write model.safetensors, model.onnx, recipe.yaml and, last, model.json of a model as it leaves."""
    shape = (1, 3, model.resolution, model.resolution)
    write_bytes(folder / "model.safetensors", save_checked(model.state_dict()))
    write_bytes(folder / "model.onnx", export_onnx(model, shape))
    write_text(folder / "recipe.yaml", yaml_of(described.training.settings))
    write_json(folder / "model.json", described.to_json())


def yaml_of(settings: Settings) -> str:
    """Write settings as YAML, in their order."""
    import yaml

    return yaml.safe_dump(dict(settings), sort_keys=False)


def read_model(folder: Path) -> ModelDescription:
    """Read model.json of a fine-tuned subnet."""
    return ModelDescription.from_json(read_json(folder / "model.json"))


def load_model(folder: Path) -> tuple[Subnet, ModelDescription]:
    """Load a fine-tuned subnet, norms folded, in eval mode, with what model.json says."""
    described = read_model(folder)
    model = build_subnet(described.architecture, described.num_classes)
    fold_norms(model)
    tensors, own = load_tensors(folder / "model.safetensors"), model.state_dict()
    if own.keys() != tensors.keys() or any(own[name].shape != tensors[name].shape for name in own):
        raise NasError(f"{folder}/model.safetensors does not fit its model.json", "Fine-tune it again: nas finetune")
    model.load_state_dict(tensors)
    return model, described


def finetune_lines(outcome: FinetuneOutcome) -> list[str]:
    """Return in words what each network has reached."""
    return [
        f"{model.id}: {model.accuracy:.2%} on the test split after {model.training.epochs} epochs "
        f"(inherited {model.inherited_accuracy:.2%} on validation), {describe(latency_of(model), outcome.table)}"
        for model in outcome.models
    ]


def latency_of(model: ModelDescription) -> Latency:
    """Return the latency of a fine-tuned network in the search that chose it."""
    low, high = model.latency_low_ms, model.latency_high_ms
    assert low is not None and high is not None, "what is fine-tuned comes from a front"
    return Latency(model.latency_ms, low, high, model.provenance)
