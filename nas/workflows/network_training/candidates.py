"""Who takes part in a comparison: subnets and hand-designed models, each with the weights it begins with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from nas.data.datasets import Dataset
from nas.export.description import TrainingDescription
from nas.files import JsonObject
from nas.nn.global_rng import exclusive, seeded
from nas.nn.subnet import build_subnet
from nas.nn.timm_model import Reference, build_reference
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.supernet.bn_calibration import calibrate
from nas.supernet.supernet import Supernet, extract, inherit
from nas.training.network import OnStep, Recipe, count_steps, train_model
from nas.training.quantized import bits_recipe, has_bits, tune_quantized
from nas.workflows.network_training.jobs import TrainingJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A network that is trained: `make` gives it, for a seed, with the float weights it begins with."""

    id: str
    start: str  # inherited, scratch or pretrained
    make: Callable[[int], nn.Module]
    architecture: Architecture | None = None  # with its bits; None where it is no subnet of the space


@dataclass(frozen=True, slots=True)
class Tuned:
    """A network as it was trained, and its float parent: itself where it has no bits."""

    model: nn.Module
    parent: nn.Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What all trainings of a comparison share."""

    dataset: Dataset
    recipe: Recipe
    teacher: nn.Module | None  # the largest subnet, where the recipe distils
    weights: str = ""  # digest of the supernet, where anything of it is used


def subnet_from_scratch(identity: str, architecture: Architecture, num_classes: int) -> Candidate:
    """Return an architecture with fresh weights."""

    def make(seed: int) -> nn.Module:
        return fresh_subnet(without_bits(architecture), num_classes, seed)

    return Candidate(id=identity, start="scratch", make=make, architecture=architecture)


def inherited_subnet(architecture: Architecture, supernet: Supernet, dataset: Dataset) -> Candidate:
    """Return an architecture with the weights of its supernet, and BatchNorm statistics of its own."""

    def make(seed: int) -> nn.Module:
        return inherited(supernet, without_bits(architecture), dataset)

    return Candidate(id=architecture.id, start="inherited", make=make, architecture=architecture)


def inherited(supernet: Supernet, architecture: Architecture, dataset: Dataset) -> nn.Module:
    """Return a network with the weights of its supernet, which runs in one thread at a time."""
    with exclusive():
        return inherit(supernet, architecture, calibrate(supernet, architecture, dataset.calibration()))


def hand_designed(reference: Reference, num_classes: int, weights: Path | None) -> Candidate:
    """Return a timm model with fresh weights, or those of a file."""

    def make(seed: int) -> nn.Module:
        with seeded(seed):
            return build_reference(reference, num_classes, weights)

    return Candidate(id=str(reference), start="scratch" if weights is None else "pretrained", make=make)


def fresh_subnet(architecture: Architecture, num_classes: int, seed: int) -> nn.Module:
    """Build an architecture with weights drawn from the seed, as a hand-designed model is."""
    with seeded(seed):
        return build_subnet(architecture, num_classes)


def largest_teacher(supernet: Supernet, dataset: Dataset) -> nn.Module:
    """Cut out the largest subnet with its inherited weights: whom a recipe with `distill` learns from."""
    largest = supernet.space.largest()
    return extract(supernet, largest, calibrate(supernet, largest, dataset.calibration())).eval()


def training_of(candidate: Candidate, seed: int, at: Conditions) -> TrainingJob[Tuned]:
    """Return how a candidate is trained: in floats by the recipe, then with its bits if it has any."""
    bits = architecture_with_bits(candidate)
    float_steps, bits_steps = steps_of(candidate, at)

    def train(model: nn.Module, on_step: OnStep) -> Tuned:
        parent = train_model(model, at.dataset, at.recipe, seed, on_step, at.teacher)
        if bits is None:
            return Tuned(parent, parent)

        def further(step: int, total: int) -> None:
            on_step(float_steps + step, float_steps + total)

        return Tuned(tune_quantized(parent, bits, at.dataset, at.recipe, seed, further), parent)

    return TrainingJob(
        id=candidate.id,
        seed=seed,
        steps=float_steps + bits_steps,
        make=lambda: candidate.make(seed),
        train=train,
        settings=described_settings(candidate, at),
    )


def architecture_with_bits(candidate: Candidate) -> Architecture | None:
    """Return the architecture of a candidate that has integer bits; None for all others."""
    return candidate.architecture if candidate.architecture is not None and has_bits(candidate.architecture) else None


def steps_of(candidate: Candidate, at: Conditions) -> tuple[int, int]:
    """Return the steps of a training in floats, and with bits."""
    with_bits = count_steps(at.dataset, bits_recipe(at.recipe)) if architecture_with_bits(candidate) else 0
    return count_steps(at.dataset, at.recipe), with_bits


def described_training(candidate: Candidate, at: Conditions, seed: int) -> TrainingDescription:
    """Return how a network was trained, for model.json and compare.csv; one with bits saw more images."""
    return TrainingDescription(
        data=at.dataset.name,
        start=candidate.start,
        epochs=at.recipe.epochs,
        images=sum(steps_of(candidate, at)) * at.recipe.batch_size,
        recipe=at.recipe.describe(),
        settings=asdict(at.recipe),
        seed=seed,
    )


def described_settings(candidate: Candidate, at: Conditions) -> JsonObject:
    """Return what a training depends on beside its id and seed, in JSON types."""
    of_supernet = candidate.start == "inherited" or at.teacher is not None
    return {
        "data": at.dataset.name,
        "start": candidate.start,
        "settings": asdict(at.recipe),
        "weights": at.weights if of_supernet else "",
    }


def study_name(candidate: Candidate, at: Conditions, seed: int) -> str:
    """Name what trials belong to: the network and all that their outcome depends on."""
    conditions = json.dumps([described_settings(candidate, at), seed], sort_keys=True)
    safe = candidate.id.replace("/", "-")
    return f"{safe}-{hashlib.sha256(conditions.encode()).hexdigest()[:12]}"
