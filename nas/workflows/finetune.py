"""`nas finetune`: train picked subnets for their own sake, judge them on the test split, export them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from nas.config import make_settings
from nas.data.datasets import Dataset, load_dataset
from nas.errors import NasError, did_you_mean
from nas.evaluation.accuracy import model_accuracy
from nas.export.kernels import integer_kernels, promised_kernels
from nas.export.onnx import export_onnx
from nas.files import locked, read_json, write_bytes, write_json, write_text
from nas.nn.biases import round_biases
from nas.nn.subnet import Subnet, build_subnet, fold_norms
from nas.nn.tensor_file import load_tensors, save_checked
from nas.progress import Console
from nas.run.folder import find_run, latest_search
from nas.run.models import load_supernet
from nas.run.picks import pick_rows, read_front
from nas.run.staleness import check_weights, digest
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

STARTS = ("inherited", "scratch")


def finetune(
    *,
    run: Path | None,
    picks: Sequence[str],
    start: str = "inherited",
    seed: int,
    settings: dict[str, Any],
    overrides: Sequence[str],
    console: Console,
    trials: int = 0,
    num_workers: int = 1,
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Train the picked members of the newest front, from what they inherit or from scratch; give one row per model.

    With `trials` the recipe of each is tuned first; a tuning that was killed goes on.
    """
    run = find_run(run)
    recipe = make_settings(Recipe, settings, overrides)
    if start not in STARTS:
        raise NasError(f"no weights '{start}' to start from", did_you_mean(start, STARTS))
    check_weights(run, latest_search(run))
    rows = {row["id"]: row for row in pick_rows(read_front(run), picks)}
    with locked(run):
        supernet = load_supernet(run)
        at = conditions(run, recipe, supernet)
        wanted = [Architecture.from_json(row["architecture"]) for row in rows.values()]
        candidates = [candidate_of(each, start, supernet, at.dataset) for each in wanted]
        recipes = tune_all(candidates, at, trials, seed, run / "tuning", console, num_workers, ray_address)
        own = {identity: replace(at, recipe=tuned) for identity, tuned in recipes.items()}
        tuning = {"trials": trials, "base_settings": asdict(recipe)}
        by_id, written = {each.id: each for each in candidates}, {}

        def write(name: str, tuned: Tuned) -> None:
            identity = name.partition("/")[0]
            facts = {**described_training(by_id[identity], own[identity], seed), **tuning}
            written[identity] = write_finetuned(run, rows[identity], tuned, at.dataset, facts)

        side_by_side([training_of(each, seed, own[each.id]) for each in candidates], "finetune", console, write)
    models = [written[identity] for identity in rows]
    return {"run": str(run), "models": models, "table": read_json(latest_search(run) / "front.json")["table"]}


def conditions(run: Path, recipe: Recipe, supernet: Supernet) -> Conditions:
    """Say what the trainings of a run's networks share."""
    manifest = read_json(run / "run.json")
    dataset = load_dataset(manifest["data"], manifest["seed"])
    teacher = largest_teacher(supernet, dataset) if recipe.distill else None
    return Conditions(dataset=dataset, recipe=recipe, teacher=teacher, weights=digest(run / "supernet.safetensors"))


def candidate_of(architecture: Architecture, start: str, supernet: Supernet, dataset: Dataset) -> Candidate:
    """Enter a subnet with the weights that it is to start from."""
    if start == "scratch":
        return subnet_from_scratch(architecture.id, architecture, dataset.num_classes)
    return inherited_subnet(architecture, supernet, dataset)


def write_finetuned(
    run: Path, row: Mapping[str, Any], tuned: Tuned, dataset: Dataset, training: Mapping[str, Any]
) -> dict[str, Any]:
    """Judge a subnet whose `training` is described and write RUN/models/<id>/; give what model.json says."""
    architecture = Architecture.from_json(row["architecture"])
    model = deployed(tuned.model)
    described = {
        "id": architecture.id,
        "architecture": architecture.to_dict(),
        "resolution": architecture.resolution,
        "num_classes": dataset.num_classes,
        **training,
        **described_bits(architecture, model, tuned.parent, dataset),
        "inherited_accuracy": row["accuracy"],
        "validation_accuracy": model_accuracy(model, dataset.validation()),
        "accuracy": model_accuracy(model, dataset.test()),
        **{name: row[name] for name in ("latency_ms", "latency_low_ms", "latency_high_ms", "provenance")},
        **{name: row[name] for name in ("num_params", "macs", "size_bytes")},
    }
    write_model(run / "models" / architecture.id, model, described)
    return described


def deployed(trained: nn.Module) -> Subnet:
    """Give a trained subnet as it leaves: norms folded, biases of integer layers as their kernels round them."""
    assert isinstance(trained, Subnet)
    model = copy.deepcopy(trained)
    fold_norms(model)
    round_biases(model, (1, 3, model.resolution, model.resolution))
    return model


def described_bits(
    architecture: Architecture, trained: nn.Module, parent: nn.Module, dataset: Dataset
) -> dict[str, Any]:
    """Say for model.json what bits cost and what of the network runs on codes; nothing for a float network."""
    if not has_bits(architecture):
        return {}
    shape = (1, 3, architecture.resolution, architecture.resolution)
    exported = export_onnx(trained, shape)
    return {
        "float_accuracy": model_accuracy(parent, dataset.test()),
        "integer_kernels": dict(integer_kernels(exported)),
        "promised_kernels": dict(promised_kernels(operators(architecture, dataset.num_classes))),
        "file_bytes": len(exported),
    }


def write_model(folder: Path, model: Subnet, described: dict[str, Any]) -> None:
    """Write model.safetensors, model.onnx, recipe.yaml and, last, model.json of a model as it leaves."""
    shape = (1, 3, model.resolution, model.resolution)
    write_bytes(folder / "model.safetensors", save_checked(model.state_dict()))
    write_bytes(folder / "model.onnx", export_onnx(model, shape))
    write_text(folder / "recipe.yaml", yaml_of(described["settings"]))
    write_json(folder / "model.json", described)


def yaml_of(settings: Mapping[str, Any]) -> str:
    """Write settings as YAML, in their order."""
    import yaml

    return yaml.safe_dump(dict(settings), sort_keys=False)


def load_model(folder: Path) -> tuple[Subnet, dict[str, Any]]:
    """Load a fine-tuned subnet, norms folded, in eval mode, with what model.json says."""
    described = read_json(folder / "model.json")
    model = build_subnet(Architecture.from_dict(described["architecture"]), described["num_classes"])
    fold_norms(model)
    tensors, own = load_tensors(folder / "model.safetensors"), model.state_dict()
    if own.keys() != tensors.keys() or any(own[name].shape != tensors[name].shape for name in own):
        raise NasError(f"{folder}/model.safetensors does not fit its model.json", "Fine-tune it again: nas finetune")
    model.load_state_dict(tensors)
    return model, described
