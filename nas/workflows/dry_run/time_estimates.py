"""How long a command would take here: a few of its very steps are done and timed, nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from nas.data.datasets import Dataset, batches
from nas.hardware.backends.registry import BACKENDS, clock_of
from nas.hardware.backends.session import arithmetic
from nas.hardware.device import Device
from nas.hardware.measurement.integer import measurable
from nas.hardware.measurement.interpolation import choose_measured
from nas.hardware.measurement.plan import Plan, check_plan
from nas.hardware.measurement.profile import prepare, targets, validation_networks
from nas.hardware.measurement.protocol import PROTOCOLS, one_round
from nas.nn.ranks import SINGLE_PROCESS
from nas.nn.subnet import build_operator, build_subnet
from nas.nn.threads import AT_ONCE, divided_cores
from nas.progress import Console
from nas.run.run import Run
from nas.space.search_space import SearchSpace
from nas.training.supernet.loop import train_step
from nas.training.supernet.recipe import SupernetRecipe
from nas.workflows.network_training.jobs import TrainingJob
from nas.workflows.search.inherited_accuracy import InheritedAccuracy
from nas.workflows.train_supernet.epochs import begin

TIMED_STEPS = 4  # of each training, besides the first, which warms up
TIMED_TRAININGS = 3
TIMED_SUBNETS = 6
TIMED_VISITS = 12  # of the operators and networks that a profile measures


class Enough(Exception):
    """As many steps as are timed are done."""


def supernet_seconds(space: SearchSpace, dataset: Dataset, recipe: SupernetRecipe, console: Console) -> float:
    """Estimate the training of a supernet from a few of its steps on its data."""
    steps = dataset.num_train // recipe.batch_size
    training = begin(space, recipe, 0, steps, console, SINGLE_PROCESS)
    start = time.monotonic()
    parts = batches(dataset.train(0), recipe.batch_size, np.random.default_rng(0), drop_last=True)
    few = list(islice(parts, TIMED_STEPS + 1))
    reading = (time.monotonic() - start) / len(few) if steps else 0.0
    ends = []
    with divided_cores():
        for images, labels in few:
            train_step(training, images, labels)
            ends.append(time.monotonic())
    step_seconds = (ends[-1] - ends[0]) / max(1, len(ends) - 1)
    return recipe.epochs * steps * (step_seconds + reading)


def trainings_seconds(trainings: Sequence[TrainingJob[Any]]) -> float:
    """Estimate trainings that run two at a time, from some of them."""
    if not trainings:
        return 0.0
    places = np.linspace(0, len(trainings) - 1, min(len(trainings), TIMED_TRAININGS)).round().astype(int)
    with divided_cores():
        return len(trainings) * float(np.mean([training_seconds(trainings[place]) for place in places])) / AT_ONCE


def training_seconds(training: TrainingJob[Any]) -> float:
    """Estimate one training from its first steps."""
    ends: list[float] = []

    def on_step(step: int, total: int) -> None:
        ends.append(time.monotonic())
        if len(ends) > TIMED_STEPS:
            raise Enough

    try:
        training.train(training.make(), on_step)
    except Enough:
        return training.steps * (ends[-1] - ends[0]) / TIMED_STEPS
    return training.steps * (ends[-1] - ends[0]) / max(1, len(ends) - 1)


def evaluation_seconds(run: Run) -> float:
    """Time the accuracy of a sampled subnet, as the mean over a few."""
    accuracy_of = InheritedAccuracy(run).of
    rng = np.random.default_rng(0)
    space = run.space()
    accuracy_of([space.smallest()])  # loads weights and data
    start = time.monotonic()
    accuracy_of([space.sample(rng) for _ in range(TIMED_SUBNETS)])
    return (time.monotonic() - start) / TIMED_SUBNETS


def profile_seconds(space: SearchSpace, device: Device, plan: Plan) -> float:
    """Estimate a measurement from a visit to some of what it measures: preparing once, sampling in every round."""
    setting = check_plan(plan, device)
    part, _ = measurable(space, plan.dtype)
    networks = validation_networks(part, plan.networks, np.random.default_rng(plan.seed))
    chosen = choose_measured(part.operators(), plan.sample) if plan.sample else part.operators()
    together, again = targets(chosen, networks, space.num_classes, plan.batch, build_operator, build_subnet)
    names = list(together)
    few = names[:: -(-len(names) // TIMED_VISITS)]
    start = time.monotonic()
    calls = [(name, prepare(*together[name], plan, setting)) for name in few]
    preparing = (time.monotonic() - start) / len(few)
    start = time.monotonic()
    samples = -(-plan.samples // plan.rounds)
    visit = partial(one_round, samples=samples, protocol=PROTOCOLS[setting.kind], clock=clock_of(plan.backend, setting))
    with arithmetic(setting):
        list(visit(calls))
    sampling = (time.monotonic() - start) / len(few)
    assert plan.backend in BACKENDS, "check_plan has looked"
    return (len(together) + len(again)) * (preparing + plan.rounds * sampling)
