"""The lines of compare.csv: what each network is, how accurate and fast, and how the searched ones compare with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import nn

from nas.evaluation.verdict import Trained, accuracy_at, counterpart_of, has_learnt, latency_at, verdict
from nas.export.description import ModelDescription
from nas.hardware.table.latency_table import Latency
from nas.nn.timm_model import ReferenceModel
from nas.report.compared_network import HAND_DESIGNED, SEARCHED, ComparedNetwork
from nas.space.cost import architecture_cost
from nas.workflows.network_training.candidates import Candidate, Conditions, described_training

SCRATCH = "-scratch"  # ends the id of the baseline of the supernet: an architecture trained without it


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedAccuracies:
    """What one training of a network reached, in [0, 1]; `test` is the accuracy on the test split."""

    test: float
    validation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a network is and where its weights come from."""

    name: str
    kind: str
    source: str
    inherited_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Parameters, MACs for one image, and the side of the input in pixels."""

    num_params: int
    macs: int
    resolution: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """How long a network was trained, and how, in words."""

    epochs: int
    images: int
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A network of the comparison, trained and timed, before the searched ones are set against it."""

    id: str
    origin: Origin
    size: Size
    training: TrainingFacts
    seeds: Sequence[SeedAccuracies]
    latency: Latency

    @property
    def on_the_curve(self) -> bool:
        """Whether it is one of the searched networks that hand-designed models are compared with."""
        return self.origin.kind == SEARCHED and not self.id.endswith(SCRATCH)

    @property
    def accuracy(self) -> float:
        """Return the mean accuracy on the test split."""
        return fmean(accuracies.test for accuracies in self.seeds)

    @property
    def validation_accuracy(self) -> float:
        """Return the mean accuracy on the validation split."""
        return fmean(accuracies.validation for accuracies in self.seeds)

    @property
    def trained(self) -> Trained:
        """Return what a verdict needs."""
        accuracies = [accuracies.test for accuracies in self.seeds]
        return Trained(name=self.origin.name, latency_ms=self.latency.ms, accuracies=accuracies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How the searched networks compare with a hand-designed one; None for what cannot be told.

    `error_ratio` is their error at its latency over its own; `speed_up` is its latency over theirs at its accuracy.
    """

    counterpart: str | None = None
    verdict: str | None = None
    error_ratio: float | None = None
    speed_up: float | None = None


def origin_of(candidate: Candidate, finetuned: Mapping[str, ModelDescription], supernet_epochs: int) -> Origin:
    """Return what a candidate is: a searched subnet, fine-tuned or from scratch, or a hand-designed model."""
    identity = candidate.id.removesuffix(SCRATCH)
    if identity not in finetuned:
        architecture = "timm" if candidate.architecture is None else "preset"
        start = {"scratch": "trained from scratch", "pretrained": "trained from the weights of timm"}
        source = f"{architecture} architecture, {start[candidate.start]}"
        return Origin(name=candidate.id, kind=HAND_DESIGNED, source=source)
    if candidate.id != identity:
        return Origin(
            name=f"subnet {identity} from scratch",
            kind=SEARCHED,
            source="searched; trained from scratch by the recipe of the hand-designed models",
        )
    subnet = finetuned[identity]
    begun = {
        "inherited": f"fine-tuned from a supernet trained for {supernet_epochs} epochs",
        "scratch": "trained from scratch",
    }
    return Origin(
        name=f"subnet {identity}",
        kind=SEARCHED,
        source=f"searched; {begun[subnet.training.start]}",
        inherited_accuracy=subnet.inherited_accuracy,
    )


def size_of(candidate: Candidate, networks: Mapping[str, nn.Module], num_classes: int) -> Size:
    """Return the size of a network: of a subnet by formula, of a timm model counted."""
    if candidate.architecture is not None:
        cost = architecture_cost(candidate.architecture, num_classes)
        return Size(num_params=cost.num_params, macs=cost.macs, resolution=candidate.architecture.resolution)
    model = networks[candidate.id]
    assert isinstance(model, ReferenceModel)
    return Size(
        num_params=sum(parameter.numel() for parameter in model.parameters()),
        macs=count_macs(model, model.resolution),
        resolution=model.resolution,
    )


def training_facts(candidate: Candidate, at: Conditions, seed: int) -> TrainingFacts:
    """Return how a candidate is trained under its conditions."""
    described = described_training(candidate, at, seed)
    return TrainingFacts(epochs=described.epochs, images=described.images, recipe=described.recipe)


def count_macs(model: nn.Module, resolution: int) -> int:
    """Count the MACs of convolutions and matrix products for one image."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, resolution, resolution))
    return counter.get_total_flops() // 2


def comparison_table(entries: Sequence[Entry], device: str, num_classes: int) -> list[ComparedNetwork]:
    """Return the lines of compare.csv, by kind and rising latency."""
    searched = [entry for entry in entries if entry.on_the_curve]
    by_kind = sorted(entries, key=lambda entry: (entry.origin.kind, entry.latency.ms))
    return [
        compared_network(
            entry, Judgement() if entry.origin.kind == SEARCHED else judgement_of(entry, searched, num_classes), device
        )
        for entry in by_kind
    ]


def judgement_of(model: Entry, searched: Sequence[Entry], num_classes: int) -> Judgement:
    """Compare the searched networks with a hand-designed model; one that has learnt nothing has no counterpart."""
    theirs = model.trained
    if not has_learnt(theirs.accuracy, num_classes):
        reason = f"{theirs.name} has learnt nothing in {model.training.images:,} images ({theirs.accuracy:.1%})"
        return Judgement(verdict=f"{reason}: a recipe that does not suit it, and no rival")
    counterpart = counterpart_of(
        theirs, [entry.trained for entry in searched], [entry.validation_accuracy for entry in searched]
    )
    points = [(entry.latency.ms, entry.accuracy) for entry in searched]
    accuracy, latency_ms = accuracy_at(model.latency.ms, points), latency_at(model.accuracy, points)
    return Judgement(
        counterpart=counterpart.name,
        verdict=verdict(counterpart, theirs),
        error_ratio=(1 - accuracy) / (1 - model.accuracy) if accuracy is not None and model.accuracy < 1 else None,
        speed_up=None if latency_ms is None else model.latency.ms / latency_ms,
    )


def compared_network(entry: Entry, judgement: Judgement, device: str) -> ComparedNetwork:
    """Return one line from its parts."""
    accuracies = [accuracies.test for accuracies in entry.seeds]
    return ComparedNetwork(
        name=entry.origin.name,
        kind=entry.origin.kind,
        id=entry.id,
        accuracy=entry.accuracy,
        accuracy_std=stdev(accuracies) if len(accuracies) > 1 else None,
        latency_ms=entry.latency.ms,
        num_params=entry.size.num_params,
        macs=entry.size.macs,
        epochs=entry.training.epochs,
        recipe=entry.training.recipe,
        source=entry.origin.source,
        images=entry.training.images,
        resolution=entry.size.resolution,
        validation_accuracy=entry.validation_accuracy,
        inherited_accuracy=entry.origin.inherited_accuracy,
        provenance=entry.latency.provenance,
        latency_low_ms=entry.latency.low_ms,
        latency_high_ms=entry.latency.high_ms,
        num_seeds=len(accuracies),
        counterpart=judgement.counterpart,
        verdict=judgement.verdict,
        error_ratio=judgement.error_ratio,
        speed_up=judgement.speed_up,
        device=device,
    )
