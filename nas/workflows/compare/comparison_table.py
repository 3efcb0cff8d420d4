"""The rows of compare.csv: what each network is, how accurate and fast, and what the searched ones are beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from torch import nn

from nas.evaluation.verdict import Trained, accuracy_at, has_learnt, latency_at, rival_of, verdict
from nas.hardware.table.latency_table import Latency
from nas.nn.timm_model import ReferenceModel
from nas.space.cost import architecture_cost
from nas.workflows.network_training.candidates import Candidate, Conditions, described_training

COLUMNS = (
    *("name", "kind", "id", "accuracy", "accuracy_std", "latency_ms", "num_params", "macs", "epochs", "recipe"),
    *("source", "images", "resolution", "validation_accuracy", "inherited_accuracy", "provenance"),
    *("latency_low_ms", "latency_high_ms", "num_seeds", "rival", "verdict", "error_ratio", "speed_up"),
    "device",
)
SCRATCH = "-scratch"  # ends the id of the control, an architecture trained without its supernet
Rows = list[dict[str, Any]]


def network_row(
    candidate: Candidate, networks: Mapping[str, nn.Module], trained: Rows, at: Conditions, seed: int
) -> dict[str, Any]:
    """Row of a network that was trained, once per seed."""
    accuracies = [row["accuracy"] for row in trained]
    origin = "timm" if candidate.architecture is None else "preset"
    start = {"scratch": "trained from scratch", "pretrained": "trained from the weights of timm"}
    return {
        "name": candidate.id,
        "kind": "hand-designed",
        "id": candidate.id,
        "accuracy": fmean(accuracies),
        "accuracy_std": stdev(accuracies) if len(accuracies) > 1 else None,
        "num_seeds": len(accuracies),
        "validation_accuracy": fmean(row["validation_accuracy"] for row in trained),
        **size_of(candidate, networks, at.dataset.num_classes),
        **{name: described_training(candidate, at, seed)[name] for name in ("epochs", "images", "recipe")},
        "source": f"{origin} architecture, {start.get(candidate.start)}",
    }


def size_of(candidate: Candidate, networks: Mapping[str, nn.Module], num_classes: int) -> dict[str, int]:
    """Give parameters, MACs and input size: of a subnet by formula, of a timm model counted."""
    if candidate.architecture is not None:
        cost = architecture_cost(candidate.architecture, num_classes)
        return {"num_params": cost.num_params, "macs": cost.macs, "resolution": candidate.architecture.resolution}
    model = networks[candidate.id]
    assert isinstance(model, ReferenceModel)
    return {
        "num_params": sum(parameter.numel() for parameter in model.parameters()),
        "macs": count_macs(model, model.resolution),
        "resolution": model.resolution,
    }


def describe_searched(rows: Rows, described: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> None:
    """Write into the rows of searched networks what they are, and what is known of them already."""
    own = {each["id"]: each for each in described}
    for row in rows:
        identity = row["id"].removesuffix(SCRATCH)
        if identity not in own:
            continue
        row["kind"] = "searched"
        if row["id"] != identity:
            row["name"] = f"subnet {identity} from scratch"
            row["source"] = "searched; trained from scratch by the recipe of the hand-designed models"
            continue
        begun = {
            "inherited": f"fine-tuned from a supernet trained for {manifest['recipe']['epochs']} epochs",
            "scratch": "trained from scratch",
        }
        row["name"], row["source"] = f"subnet {identity}", f"searched; {begun[own[identity]['start']]}"
        row["inherited_accuracy"] = own[identity]["inherited_accuracy"]


def count_macs(model: nn.Module, resolution: int) -> int:
    """Count the MACs of convolutions and matrix products for one image."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, resolution, resolution))
    return counter.get_total_flops() // 2


def finish_rows(rows: Rows, latencies: Mapping[str, Latency], device: str) -> None:
    """Write each row's latency on the device into it, with its interval where it is predicted."""
    for row in rows:
        row["device"], latency = device, latencies[row["id"].removesuffix(SCRATCH)]
        row["latency_ms"], row["provenance"] = latency.ms, latency.provenance
        row["latency_low_ms"], row["latency_high_ms"] = latency.low_ms, latency.high_ms


def judge_rows(rows: Rows, trained: Mapping[str, Rows], num_classes: int) -> None:
    """Write into the row of every hand-designed model what the searched networks are beside it.

    One that has learnt nothing is no rival, and is told so. `error_ratio`: their error at its latency over its own;
    `speed_up`: its latency over theirs at its accuracy.
    """
    searched = [row for row in rows if row["kind"] == "searched" and not row["id"].endswith(SCRATCH)]
    points = [(row["latency_ms"], row["accuracy"]) for row in searched]

    def seen(row: Mapping[str, Any]) -> Trained:
        accuracies = [each["accuracy"] for each in trained[row["id"]]]
        return Trained(name=row["name"], latency_ms=row["latency_ms"], accuracies=accuracies)

    ours, merit = [seen(row) for row in searched], [row["validation_accuracy"] for row in searched]
    for row in rows:
        if row["kind"] != "hand-designed":
            continue
        theirs = seen(row)
        if not has_learnt(theirs.accuracy, num_classes):
            told = f"{row['name']} has learnt nothing in {row['images']:,} images ({theirs.accuracy:.1%})"
            row["verdict"] = f"{told}: a recipe that does not suit it, and no rival"
            continue
        rival = rival_of(theirs, ours, merit)
        row["rival"], row["verdict"] = rival.name, verdict(rival, theirs)
        equal_ms, equal_accuracy = accuracy_at(row["latency_ms"], points), latency_at(row["accuracy"], points)
        if equal_ms is not None and row["accuracy"] < 1:
            row["error_ratio"] = (1 - equal_ms) / (1 - row["accuracy"])
        if equal_accuracy is not None:
            row["speed_up"] = row["latency_ms"] / equal_accuracy
