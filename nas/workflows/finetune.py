"""`nas finetune`: train picked subnets for their own sake, judge them on the test split, export them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from torch import nn

from nas.config import make_settings
from nas.evaluation.accuracy import model_accuracy
from nas.evaluation.data import Dataset, load_dataset
from nas.evaluation.finetune import Recipe, count_steps, train_model
from nas.evaluation.quantized import bits_recipe, has_bits, tune_quantized
from nas.export.kernels import integer_kernels, promised_kernels
from nas.hardware.onnx_runtime import export_onnx
from nas.progress import Talk
from nas.run_dir import find_run, latest_search, locked, read_json, write_bytes, write_json
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.space.operator import operators
from nas.supernet.biases import round_biases
from nas.supernet.calibration import calibrate
from nas.supernet.subnet import Subnet, build_subnet, fold_norms
from nas.supernet.supernet import Supernet, inherit
from nas.supernet.threads import AT_ONCE, divided_cores
from nas.workflows.picks import pick_rows, read_front
from nas.workflows.provenance import check_weights
from nas.workflows.weights import load_supernet, save_tensors

OnStep = Callable[[int, int], None]  # steps done, steps in all
Trained = TypeVar("Trained")


def finetune(
    *, run: Path | None, picks: Sequence[str], seed: int, settings: dict[str, Any], overrides: Sequence[str], talk: Talk
) -> dict[str, Any]:
    """Fine-tune the picked members of the newest front; give one row per model."""
    run = find_run(run)
    recipe = make_settings(Recipe, settings, overrides)
    check_weights(run, latest_search(run))
    rows = pick_rows(read_front(run), picks)
    with locked(run):
        manifest = read_json(run / "run.json")
        dataset = load_dataset(manifest["data"], manifest["seed"])
        supernet = load_supernet(run)
        wanted = {row["id"]: Architecture.from_json(row["architecture"]) for row in rows}
        models = {name: inherit_calibrated(supernet, without_bits(each), dataset) for name, each in wanted.items()}
        parents = train_models(models, "finetune", dataset, recipe, seed, talk)
        trained = {**parents, **give_bits(parents, wanted, dataset, recipe, seed, talk)}
        written = [
            write_finetuned(run, row, trained[row["id"]], parents[row["id"]], dataset, recipe, seed) for row in rows
        ]
    return {"run": str(run), "models": written, "table": read_json(latest_search(run) / "front.json")["table"]}


def write_finetuned(
    run: Path,
    row: Mapping[str, Any],
    trained: nn.Module,
    parent: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
) -> dict[str, Any]:
    """Judge a fine-tuned subnet and write RUN/models/<id>/; give what model.json says."""
    architecture = Architecture.from_json(row["architecture"])
    trained = deployed(trained)
    described = {
        "id": architecture.id,
        "architecture": architecture.to_dict(),
        "resolution": architecture.resolution,
        "num_classes": dataset.num_classes,
        "start": "inherited",
        **described_training(dataset, recipe, seed, architecture),
        **described_bits(architecture, trained, parent, dataset),
        "inherited_accuracy": row["accuracy"],
        "validation_accuracy": model_accuracy(trained, dataset.validation()),
        "accuracy": model_accuracy(trained, dataset.test()),
        **{name: row[name] for name in ("latency_ms", "latency_low_ms", "latency_high_ms", "provenance")},
        **{name: row[name] for name in ("num_params", "macs", "size_bytes")},
    }
    write_model(run / "models" / architecture.id, trained, described)
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


def give_bits(
    parents: Mapping[str, nn.Module],
    wanted: Mapping[str, Architecture],
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    talk: Talk,
) -> dict[str, nn.Module]:
    """Train those of `wanted` that have integer bits from their trained float parents, two at a time."""
    names = [name for name, architecture in wanted.items() if has_bits(architecture)]

    def tune(name: str, on_step: OnStep) -> nn.Module:
        return tune_quantized(parents[name], wanted[name], dataset, recipe, seed, on_step)

    steps = count_steps(dataset, bits_recipe(recipe))
    return side_by_side(names, "finetune with bits", tune, steps, talk) if names else {}


def inherit_calibrated(supernet: Supernet, architecture: Architecture, dataset: Dataset) -> nn.Module:
    """Cut out the subnet of an architecture, with BatchNorm statistics of its own."""
    return inherit(supernet, architecture, calibrate(supernet, architecture, dataset.calibration()))


def train_models(
    models: Mapping[str, nn.Module], name: str, dataset: Dataset, recipe: Recipe, seed: int, talk: Talk
) -> dict[str, nn.Module]:
    """Train models by one recipe, two at a time; give them trained, by name. Each sees the same batches."""

    def train(key: str, on_step: OnStep) -> nn.Module:
        return train_model(models[key], dataset, recipe, seed, on_step)

    return side_by_side(list(models), name, train, count_steps(dataset, recipe), talk)


def side_by_side(
    names: Sequence[str], what: str, train: Callable[[str, OnStep], Trained], steps: int, talk: Talk
) -> dict[str, Trained]:
    """Call `train` for each name, two at a time, each of `steps` steps; give the results by name."""
    done = dict.fromkeys(names, 0)
    stopped = Event()

    def watched(name: str) -> Trained:
        def on_step(step: int, total: int) -> None:
            if stopped.is_set():
                raise CancelledError
            done[name] = step
            advance(sum(done.values()), "")

        return train(name, on_step)

    with divided_cores(), ThreadPoolExecutor(AT_ONCE) as pool, talk.task(what, steps * len(names)) as advance:
        try:
            return dict(zip(names, pool.map(watched, names), strict=True))
        except BaseException:  # Ctrl-C, or one training failed: the other ends at its next step, none begins
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def described_training(
    dataset: Dataset, recipe: Recipe, seed: int, architecture: Architecture | None = None
) -> dict[str, Any]:
    """Say how a model was trained, for model.json and compare.csv; an architecture with bits saw more images."""
    steps = count_steps(dataset, recipe)
    if architecture is not None and has_bits(architecture):
        steps += count_steps(dataset, bits_recipe(recipe))
    return {
        "data": dataset.name,
        "epochs": recipe.epochs,
        "images": steps * recipe.batch_size,
        "recipe": recipe.describe(),
        "settings": asdict(recipe),
        "seed": seed,
    }


def write_model(folder: Path, model: Subnet, described: dict[str, Any]) -> None:
    """Write model.safetensors, model.onnx and, last, model.json of a model as it leaves."""
    shape = (1, 3, model.resolution, model.resolution)
    write_bytes(folder / "model.safetensors", save_tensors(model.state_dict()))
    write_bytes(folder / "model.onnx", export_onnx(model, shape))
    write_json(folder / "model.json", described)


def load_model(folder: Path) -> tuple[Subnet, dict[str, Any]]:
    """Load a fine-tuned subnet, norms folded, in eval mode, with what model.json says."""
    from nas.workflows.weights import load_tensors

    described = read_json(folder / "model.json")
    model = build_subnet(Architecture.from_dict(described["architecture"]), described["num_classes"])
    fold_norms(model)
    model.load_state_dict(load_tensors(folder / "model.safetensors"))
    return model, described
