"""Who takes part in a comparison: subnets and hand-designed models, each with the weights it begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import nn

from nas.evaluation.data import Dataset
from nas.evaluation.finetune import OnStep, Recipe, count_steps, train_model
from nas.evaluation.quantized import bits_recipe, has_bits, tune_quantized
from nas.evaluation.reference import Reference, build_reference
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.supernet.calibration import calibrate
from nas.supernet.subnet import build_subnet
from nas.supernet.supernet import Supernet, extract, inherit
from nas.workflows.trainings import Training

# Fresh weights come from the generator that all threads share, and a supernet runs in one thread at a time.
ONE_AT_A_TIME = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
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


def subnet_from_scratch(identity: str, architecture: Architecture, num_classes: int) -> Entrant:
    """Enter an architecture with fresh weights."""

    def make(seed: int) -> nn.Module:
        return fresh_subnet(without_bits(architecture), num_classes, seed)

    return Entrant(id=identity, start="scratch", make=make, architecture=architecture)


def inherited_subnet(architecture: Architecture, supernet: Supernet, dataset: Dataset) -> Entrant:
    """Enter an architecture with the weights of its supernet, and BatchNorm statistics of its own."""

    def make(seed: int) -> nn.Module:
        return inherited(supernet, without_bits(architecture), dataset)

    return Entrant(id=architecture.id, start="inherited", make=make, architecture=architecture)


def inherited(supernet: Supernet, architecture: Architecture, dataset: Dataset) -> nn.Module:
    """Cut out a network with the weights of its supernet; in a function of its own, as a lock cannot go to a worker."""
    with ONE_AT_A_TIME:
        return inherit(supernet, architecture, calibrate(supernet, architecture, dataset.calibration()))


def hand_designed(reference: Reference, num_classes: int, weights: Path | None) -> Entrant:
    """Enter a timm model with fresh weights, or those of a file."""

    def make(seed: int) -> nn.Module:
        return seeded(seed, lambda: build_reference(reference, num_classes, weights))

    return Entrant(id=str(reference), start="scratch" if weights is None else "pretrained", make=make)


def fresh_subnet(architecture: Architecture, num_classes: int, seed: int) -> nn.Module:
    """Build an architecture with weights drawn from the seed, as a hand-designed model is."""
    return seeded(seed, lambda: build_subnet(architecture, num_classes))


def seeded(seed: int, build: Callable[[], nn.Module]) -> nn.Module:
    """Build with weights drawn from the seed."""
    with ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def largest_teacher(supernet: Supernet, dataset: Dataset) -> nn.Module:
    """Cut out the largest subnet with its inherited weights: whom a recipe with `distill` learns from."""
    largest = supernet.space.largest()
    return extract(supernet, largest, calibrate(supernet, largest, dataset.calibration())).eval()


def training_of(entrant: Entrant, seed: int, at: Conditions) -> Training[Tuned]:
    """Say how an entrant is trained: in floats by the recipe, then with its bits if it has any."""
    bits = architecture_with_bits(entrant)
    float_steps, bits_steps = steps_of(entrant, at)

    def train(model: nn.Module, on_step: OnStep) -> Tuned:
        parent = train_model(model, at.dataset, at.recipe, seed, on_step, at.teacher)
        if bits is None:
            return Tuned(parent, parent)

        def further(step: int, total: int) -> None:
            on_step(float_steps + step, float_steps + total)

        return Tuned(tune_quantized(parent, bits, at.dataset, at.recipe, seed, further), parent)

    return Training(
        id=entrant.id,
        seed=seed,
        steps=float_steps + bits_steps,
        make=lambda: entrant.make(seed),
        train=train,
        settings=described_settings(entrant, at),
    )


def architecture_with_bits(entrant: Entrant) -> Architecture | None:
    """Give the architecture of an entrant that has integer bits; None for all others."""
    return entrant.architecture if entrant.architecture is not None and has_bits(entrant.architecture) else None


def steps_of(entrant: Entrant, at: Conditions) -> tuple[int, int]:
    """Give the steps of a training in floats, and with bits."""
    with_bits = count_steps(at.dataset, bits_recipe(at.recipe)) if architecture_with_bits(entrant) else 0
    return count_steps(at.dataset, at.recipe), with_bits


def described_training(entrant: Entrant, at: Conditions, seed: int) -> dict[str, Any]:
    """Say how a network was trained, for model.json and compare.csv; one with bits saw more images."""
    return {
        "data": at.dataset.name,
        "start": entrant.start,
        "epochs": at.recipe.epochs,
        "images": sum(steps_of(entrant, at)) * at.recipe.batch_size,
        "recipe": at.recipe.describe(),
        "settings": asdict(at.recipe),
        "seed": seed,
    }


def described_settings(entrant: Entrant, at: Conditions) -> dict[str, Any]:
    """Say what a training depends on beside its id and seed, in JSON types."""
    of_supernet = entrant.start == "inherited" or at.teacher is not None
    return {
        "data": at.dataset.name,
        "start": entrant.start,
        "settings": asdict(at.recipe),
        "weights": at.weights if of_supernet else "",
    }
