"""`nas export`: a fine-tuned network in files that need nothing of ours, each run in a fresh process and compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from nas.data.datasets import AnySplit
from nas.data.splits import batches, pixels_of
from nas.errors import NasError, did_you_mean
from nas.export.card import write_card
from nas.export.formats import DTYPES, RUNTIMES, WRITERS, TrainedNetwork
from nas.export.hub import hub_config
from nas.export.parity import compare_logits, run_fresh
from nas.files import JsonObject, digest, read_json, write_json, write_text
from nas.nn.subnet import Subnet, resize
from nas.progress import Console
from nas.run.picks import pick_rows
from nas.run.run import Run
from nas.space.architecture import Architecture
from nas.training.quantized import has_bits
from nas.workflows.finetune import load_model
from nas.workflows.requests import ExportRequest

SAMPLES = 256  # test images on which float files are compared; those with codes are on the whole split


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOutcome:
    """The file that `nas export` wrote, and the model.json beside it."""

    run: Run
    folder: Path
    name: str
    described: JsonObject

    @property
    def file(self) -> JsonObject:
        """Return what model.json says of the file."""
        facts: JsonObject = self.described["files"][self.name]
        return facts

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        paths = {"run": str(self.run), "output": str(self.folder), "file": str(self.folder / self.name)}
        return {**paths, **self.described}


def export(request: ExportRequest, console: Console) -> ExportOutcome:
    """Write a fine-tuned network as a file of some format, and check it in a fresh process.

    A network with integer bits leaves as what it is, whatever the dtype of its float parts. `NasError` before anything
    is written where the pick, its fine-tuned model, the format or the package behind it is missing.
    """
    run, form = Run.find(request.run), request.form
    dtype = checked(form, request.dtype)
    model, described = load_model(run.model(picked(run, request.pick)))
    architecture = Architecture.from_dict(described["architecture"])
    if has_bits(architecture):
        dtype = "int8"
    folder = request.output or run.export(architecture.id)
    earlier = read_json(folder / "model.json") if (folder / "model.json").exists() else {}
    if earlier and earlier.get("id") != architecture.id:
        raise NasError(f"{folder} holds another network, {earlier.get('id')}", "Give another folder with --output")
    dataset = run.dataset()
    with run.locked():
        first, _ = next(batches(dataset.test(), 1))
        network = TrainedNetwork(
            model=model,
            architecture=architecture,
            num_classes=dataset.num_classes,
            sample=pixels_of(first[0], dataset.mean, dataset.std),
        )
        name = WRITERS[form](network, dtype, folder)
        expected, images = logits_of(model, dataset.test(), None if dtype == "int8" else SAMPLES)
        console.say(f"check {folder / name} in a fresh process, on {len(images):,} test images")
        parity = compare_logits(expected, run_fresh(form, folder / name, images), dtype)
        written = {
            "format": form,
            "dtype": dtype,
            "bytes": stored_bytes(folder / name),
            "sha256": digest(folder / name),
            "runtime": f"{RUNTIMES[form]} {version(RUNTIMES[form])}",
            "parity": asdict(parity),
        }
        described |= {
            "classes": list(dataset.classes),
            "preprocessing": {"mean": list(dataset.mean), "std": list(dataset.std), "resize": "bilinear, antialiased"},
            "latencies": latencies_of(run, architecture.id),
            "files": {**earlier.get("files", {}), name: written},
        }
        write_json(folder / "model.json", described)
        write_json(folder / "config.json", hub_config(described))
        write_text(folder / "README.md", write_card(described))
    return ExportOutcome(run=run, folder=folder, name=name, described=described)


def checked(form: str, dtype: str) -> str:
    """Give the dtype; `NasError` for a format or a dtype that does not exist, or whose package is not installed."""
    from importlib.util import find_spec

    if form not in WRITERS:
        raise NasError(f"no format '{form}'", did_you_mean(form, list(WRITERS)))
    if dtype not in DTYPES[form]:
        raise NasError(f"{form} is not written as '{dtype}'", did_you_mean(dtype, DTYPES[form]))
    if find_spec(RUNTIMES[form]) is None:
        raise NasError(f"{form} needs the package {RUNTIMES[form]}", f"pip install {RUNTIMES[form]}")
    return dtype


def picked(run: Run, pick: str) -> str:
    """Give the id of the fine-tuned model that a pick names; `NasError` where there is none."""
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
    """Give the logits [n, classes] of the first `samples` images of a split (None: all), and these images resized."""
    logits, inputs = [], []
    for images, _ in batches(split, 64):
        inputs.append(resize(images, model.resolution).contiguous())
        logits.append(model(inputs[-1]))
        if samples is not None and 64 * len(logits) >= samples:
            break
    return torch.cat(logits)[:samples].numpy(), torch.cat(inputs)[:samples].numpy()


def stored_bytes(file: Path) -> int:
    """Give the size of a file, with that of the weights which OpenVINO stores beside it."""
    weights = file.with_suffix(".bin")
    return file.stat().st_size + (weights.stat().st_size if file.suffix == ".xml" else 0)


def latencies_of(run: Run, identity: str) -> list[JsonObject]:
    """Return what every search of a run says of a network's latency, by device: measured where it was."""
    latencies = []
    for search in run.searches():
        table, measured_ms = search.summary().table, search.measured_ms()
        for row in search.front():
            if row.id != identity:
                continue
            predicted = {name: getattr(row, name) for name in ("latency_ms", "latency_low_ms", "latency_high_ms")}
            latency: JsonObject = {**table, **predicted, "provenance": row.provenance}
            if row.provenance == "measured":
                latency["provenance"] = "measured blocks"
            if identity in measured_ms:
                latency = {**table, "latency_ms": measured_ms[identity], "provenance": "measured"}
            latencies.append(latency)
    return latencies
