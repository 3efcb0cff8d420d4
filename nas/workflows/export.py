"""`nas export`: a fine-tuned network in files that need nothing of ours, each run in a fresh process and compared."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.data.datasets import AnySplit, load_dataset
from nas.data.splits import batches, pixels_of
from nas.errors import NasError, did_you_mean
from nas.export.card import write_card
from nas.export.formats import DTYPES, RUNTIMES, WRITERS, TrainedNetwork
from nas.export.hub import hub_config
from nas.export.parity import compare_logits, run_fresh
from nas.files import locked, read_json, write_json, write_text
from nas.nn.subnet import Subnet, resize
from nas.progress import Console
from nas.run.evaluations import front_in
from nas.run.folder import find_run
from nas.run.picks import pick_rows, read_front
from nas.run.staleness import digest
from nas.space.architecture import Architecture
from nas.training.quantized import has_bits
from nas.workflows.finetune import load_model

SAMPLES = 256  # test images on which float files are compared; those with codes are on the whole split


def export(
    *, run: Path | None, pick: str, form: str, dtype: str, output: Path | None, console: Console
) -> dict[str, Any]:
    """Write a fine-tuned network as `form` into `output` (default RUN/exports/ID), check it, and give its model.json.

    A network with integer bits leaves as what it is, whatever the dtype of its float parts. `NasError` before anything
    is written where the pick, its fine-tuned model, the format or the package behind it is missing.
    """
    run = find_run(run)
    dtype = checked(form, dtype)
    source = run / "models" / picked(run, pick)
    model, described = load_model(source)
    architecture = Architecture.from_dict(described["architecture"])
    if has_bits(architecture):
        dtype = "int8"
    folder = output or run / "exports" / architecture.id
    earlier = read_json(folder / "model.json") if (folder / "model.json").exists() else {}
    if earlier and earlier.get("id") != architecture.id:
        raise NasError(f"{folder} holds another network, {earlier.get('id')}", "Give another folder with --output")
    manifest = read_json(run / "run.json")
    dataset = load_dataset(manifest["data"], manifest["seed"])
    with locked(run):
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
    return {"run": str(run), "output": str(folder), "file": str(folder / name), **described}


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


def picked(run: Path, pick: str) -> str:
    """Give the id of the fine-tuned model that a pick names; `NasError` where there is none."""
    trained = sorted(path.parent.name for path in run.glob("models/*/model.json"))
    if pick in trained:
        return pick
    rows = pick_rows(read_front(run), [pick])
    if len(rows) > 1:
        raise NasError(f"--pick {pick} names {len(rows)} networks, and one is exported at a time", "Give one id")
    identity = str(rows[0]["id"])
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


def latencies_of(run: Path, identity: str) -> list[dict[str, Any]]:
    """List what every search of a run says of a network's latency, by device: measured where it was."""
    found = []
    for path in sorted(run.glob("search/*/front.json")):
        table = read_json(path)["table"]
        measured = read_json(path.parent / "measured.json") if (path.parent / "measured.json").exists() else {}
        for row in front_in(path.parent):
            if row["id"] == identity:
                latency = {name: row[name] for name in ("latency_ms", "latency_low_ms", "latency_high_ms")}
                origin = f"{row['provenance']} blocks" if row["provenance"] == "measured" else row["provenance"]
                if identity in measured:
                    latency, origin = {"latency_ms": measured[identity]["ms"]}, "measured"
                found.append({**table, **latency, "provenance": origin})
    return found
