"""`nas export`: a fine-tuned network in files that need nothing of ours, each run in a fresh process and compared."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from nas.data.datasets import AnySplit, Dataset
from nas.data.splits import batches, pixels_of
from nas.errors import NasError, did_you_mean
from nas.export.card import write_card
from nas.export.description import (
    DeviceLatency,
    ExportedDescription,
    ExportedFile,
    ModelDescription,
    Preprocessing,
    files_from_json,
)
from nas.export.formats import DTYPES, RUNTIMES, WRITERS, TrainedNetwork
from nas.export.hub import hub_config
from nas.export.parity import Parity, compare_logits, run_fresh
from nas.files import JsonObject, digest, read_json, write_json, write_text
from nas.nn.subnet import Subnet, resize
from nas.progress import Console
from nas.run.picks import pick_rows
from nas.run.run import Run
from nas.training.quantized import has_bits
from nas.workflows.finetune import load_model
from nas.workflows.requests import ExportRequest

SAMPLES = 256  # test images on which float files are compared; those with integer values on the whole split


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOutcome:
    """The file that `nas export` wrote, and the model.json beside it."""

    run: Run
    folder: Path
    name: str
    described: ExportedDescription

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return self.folder / self.name

    @property
    def file(self) -> ExportedFile:
        """Return what model.json says of the file."""
        return self.described.files[self.name]

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        paths = {"run": str(self.run), "output": str(self.folder), "file": str(self.path)}
        return {**paths, **self.described.to_json()}


def export(request: ExportRequest, console: Console) -> ExportOutcome:
    """Write a fine-tuned network as a file of some format, and check it in a fresh process.

    A network with integer bits is exported as it is, whatever the dtype of its float parts. `NasError` before anything
    is written where the pick, its fine-tuned model, the format or the package behind it is missing.
    """
    run, form = Run.find(request.run), request.form
    dtype = checked(form, request.dtype)
    model, trained = load_model(run.model(picked(run, request.pick)))
    if has_bits(trained.architecture):
        dtype = "int8"
    folder = request.output or run.export(trained.id)
    earlier = earlier_files(folder, trained.id)
    dataset = run.dataset()
    with run.locked():
        name = WRITERS[form](network_of(model, trained, dataset), dtype, folder)
        expected, images = logits_of(model, dataset.test(), None if dtype == "int8" else SAMPLES)
        console.say(f"check {folder / name} in a fresh process, on {len(images):,} test images")
        parity = compare_logits(expected, run_fresh(form, folder / name, images), dtype)
        described = ExportedDescription(
            model=trained,
            classes=tuple(dataset.classes),
            preprocessing=Preprocessing(
                mean=tuple(dataset.mean), std=tuple(dataset.std), resize="bilinear, antialiased"
            ),
            latencies=tuple(latencies_of(run, trained.id)),
            files={**earlier, name: described_file(folder / name, form, dtype, parity)},
        )
        write_json(folder / "model.json", described.to_json())
        write_json(folder / "config.json", hub_config(described))
        write_text(folder / "README.md", write_card(described))
    return ExportOutcome(run=run, folder=folder, name=name, described=described)


def earlier_files(folder: Path, identity: str) -> dict[str, ExportedFile]:
    """Return the files that an earlier export left in a folder; `NasError` where these are of another network."""
    if not (folder / "model.json").exists():
        return {}
    earlier = read_json(folder / "model.json")
    if earlier.get("id") != identity:
        raise NasError(f"{folder} holds another network, {earlier.get('id')}", "Give another folder with --output")
    return files_from_json(earlier.get("files", {}))


def network_of(model: Subnet, trained: ModelDescription, dataset: Dataset) -> TrainedNetwork:
    """Return a network with the first test image, to try it on."""
    first, _ = next(batches(dataset.test(), 1))
    return TrainedNetwork(
        model=model,
        architecture=trained.architecture,
        num_classes=dataset.num_classes,
        sample=pixels_of(first[0], dataset.mean, dataset.std),
    )


def described_file(file: Path, form: str, dtype: str, parity: Parity) -> ExportedFile:
    """Describe a file that was written and checked."""
    return ExportedFile(
        format=form,
        dtype=dtype,
        bytes=stored_bytes(file),
        sha256=digest(file),
        runtime=f"{RUNTIMES[form]} {version(RUNTIMES[form])}",
        parity=parity,
    )


def checked(form: str, dtype: str) -> str:
    """Return the dtype; `NasError` for a format or a dtype that does not exist, or whose package is not installed."""
    from importlib.util import find_spec

    if form not in WRITERS:
        raise NasError(f"no format '{form}'", did_you_mean(form, list(WRITERS)))
    if dtype not in DTYPES[form]:
        raise NasError(f"{form} is not written as '{dtype}'", did_you_mean(dtype, DTYPES[form]))
    if find_spec(RUNTIMES[form]) is None:
        raise NasError(f"{form} needs the package {RUNTIMES[form]}", f"pip install {RUNTIMES[form]}")
    return dtype


def picked(run: Run, pick: str) -> str:
    """Return the id of the fine-tuned model that a pick names; `NasError` where there is none."""
    trained = [folder.name for folder in run.models()]
    if pick in trained:
        return pick
    rows = pick_rows(run.newest_search().front(), [pick])
    if len(rows) > 1:
        raise NasError(f"--pick {pick} names {len(rows)} networks, and one is exported at a time", "Give one id")
    identity = rows[0].id
    if identity not in trained:
        raise NasError(f"the subnet {identity} is not fine-tuned", f"Train it: nas finetune --pick {identity}")
    return identity


@torch.no_grad()
def logits_of(model: Subnet, split: AnySplit, samples: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits [n, classes] of the first `samples` images of a split (None: all), and these images resized."""
    logits, inputs = [], []
    for images, _ in batches(split, 64):
        inputs.append(resize(images, model.resolution).contiguous())
        logits.append(model(inputs[-1]))
        if samples is not None and 64 * len(logits) >= samples:
            break
    return torch.cat(logits)[:samples].numpy(), torch.cat(inputs)[:samples].numpy()


def stored_bytes(file: Path) -> int:
    """Return the size of a file in bytes, with that of the weights which OpenVINO stores beside it."""
    weights = file.with_suffix(".bin")
    return file.stat().st_size + (weights.stat().st_size if file.suffix == ".xml" else 0)


def latencies_of(run: Run, identity: str) -> list[DeviceLatency]:
    """Return the latencies of a network in every search of a run: measured ones where there are any."""
    latencies = []
    for search in run.searches():
        table, measured_ms = search.summary().table, search.measured_ms()
        scope = {name: getattr(table, name) for name in ("device", "backend", "dtype", "batch")}
        for row in search.front():
            if row.id != identity:
                continue
            if identity in measured_ms:
                latency = DeviceLatency(**scope, provenance="measured", latency_ms=measured_ms[identity])
            else:
                origin = f"{row.provenance} blocks" if row.provenance == "measured" else row.provenance
                figures = {name: getattr(row, name) for name in ("latency_ms", "latency_low_ms", "latency_high_ms")}
                latency = DeviceLatency(**scope, provenance=origin, **figures)
            latencies.append(latency)
    return latencies
