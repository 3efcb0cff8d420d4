"""`nas demo`: train, profile, search, fine-tune, compare, audit and report on this CPU, within a given time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from nas.data.datasets import Dataset, Split, load_dataset
from nas.files import JsonObject
from nas.hardware.measurement.plan import Plan
from nas.hardware.table.latency_table import LatencyTable
from nas.nn.subnet import build_subnet
from nas.nn.threads import AT_ONCE, divided_cores
from nas.nn.timm_model import DEFAULT_MODELS, build_reference, parse_reference
from nas.progress import Console
from nas.report.compared_network import SEARCHED, ComparedNetwork
from nas.report.headline import nearest_slower, strongest_baseline
from nas.run.picks import pick_rows
from nas.run.run import Run
from nas.run.search_settings import Limits, SearchSettings
from nas.search.evaluation_row import FrontMember, JudgedNetwork, PresetRow
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet
from nas.training.network import Recipe, train_model
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe
from nas.units import format_milliseconds
from nas.workflows.audit import audit, in_interval
from nas.workflows.compare.command import compare, known_columns
from nas.workflows.dry_run.time_estimates import evaluation_seconds
from nas.workflows.finetune import finetune
from nas.workflows.profile import device_here, profile_device
from nas.workflows.report import report
from nas.workflows.requests import (
    AuditRequest,
    CompareRequest,
    DemoRequest,
    FinetuneRequest,
    ProfileRequest,
    ReportRequest,
    SearchRequest,
    TrainRequest,
)
from nas.workflows.search.command import search
from nas.workflows.train_supernet.command import train_supernet

SPACE, DATA, DEVICE = "scan-mix-tiny", "cluttered-digits", "cpu"
PICKS = ("best", "knee", "smallest")
TRAIN_SHARE, SEARCH_SHARE = 0.38, 0.12  # of the time; the table takes what it takes, training the picks gets the rest
AUDIT_SHARE, LEAST_AUDITED = 0.05, 3  # of the time; as few tell little, and the interval says so
RESERVE_SECONDS = 60.0  # for measuring the networks and writing the report
WARMUP_STEPS, TIMED_SUPERNET_STEPS = 15, 30  # a cycle of the kinds builds every operator once; two cycles
LEAST_BUDGET = 160  # fewer leave seven subnets or so on the front; these nine and fourteen (measured, two supernets)
TIMED_STEPS = 8  # of which the first two warm up
LIMIT_SHARE = 0.7  # the latency limit, as a share of the largest subnet's latency


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutcome:
    """What the demo found, and how many seconds it took."""

    run: Run
    report: Path
    max_latency_ms: float
    front: Sequence[FrontMember]
    networks: Sequence[ComparedNetwork]
    ranking: JsonObject
    table: JsonObject
    seconds: float

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        return {
            "run": str(self.run),
            "report": str(self.report),
            "max_latency_ms": self.max_latency_ms,
            "front": [row.to_row() for row in self.front],
            "models": list(map(known_columns, self.networks)),
            "ranking": self.ranking,
            "table": self.table,
            "seconds": self.seconds,
        }


def demo(request: DemoRequest, console: Console) -> DemoOutcome:
    """Run every command in turn, sized so that all of it takes about as long as asked."""
    start, seconds, seed = time.monotonic(), 60 * request.minutes, request.seed
    dataset, space = load_dataset(DATA, seed), SearchSpace.load(SPACE)
    steps = dataset.num_train // SupernetRecipe().batch_size
    epochs = fit_count(TRAIN_SHARE * seconds, steps * supernet_step_seconds(space), least=1, most=100)
    console.say(f"1/7 train a supernet for {epochs} epochs")
    settings = {"epochs": epochs}
    training = TrainRequest(space=SPACE, data=DATA, run=request.run, seed=seed, settings=settings, now=request.now)
    run = train_supernet(training, console).run
    console.say("2/7 measure a latency table of this CPU")
    profiled = profile_device(ProfileRequest(device=device_here(DEVICE), space=space, plan=Plan(seed=seed)), console)
    table = LatencyTable.load(DEVICE, space=SPACE)
    limit_ms = float(f"{LIMIT_SHARE * table.predict(space.largest()).ms:.2g}")
    budget = fit_count(SEARCH_SHARE * seconds, evaluation_seconds(run), least=LEAST_BUDGET, most=400)
    console.say(f"3/7 search: {budget} subnets under {format_milliseconds(limit_ms)}")
    limits = SearchSettings(limits=Limits(max_latency_ms=limit_ms), budget=budget, seed=seed)
    searched = search(SearchRequest(run=run.path, devices=[DEVICE], settings=limits), console).devices[DEVICE]
    standalone_seconds = epochs * pick_epoch_seconds(run, dataset) / AT_ONCE
    audited = fit_count(AUDIT_SHARE * seconds, standalone_seconds, least=LEAST_AUDITED, most=24)
    left = seconds - (time.monotonic() - start) - RESERVE_SECONDS - audited * standalone_seconds
    pattern = best_pattern(searched.presets)
    pick_epochs = fit_count(left, epoch_seconds(run, dataset, pattern), least=1, most=30)
    console.say(f"4/7 fine-tune {', '.join(PICKS)} for {pick_epochs} epochs")
    finetune(FinetuneRequest(run=run.path, picks=PICKS, seed=seed, settings={"epochs": pick_epochs}), console)
    console.say(f"5/7 train hand-designed models for {pick_epochs} epochs by the same recipe")
    models = (*DEFAULT_MODELS, pattern.name)
    compared = compare(CompareRequest(run=run.path, device=DEVICE, models=models, seed=seed), console)
    console.say(f"6/7 audit: {audited} networks trained alone, to see whether inherited accuracies order them alike")
    checked = audit(AuditRequest(run=run.path, subnets=audited, device=DEVICE, seed=seed), console)
    console.say("7/7 write the report")
    written = report(ReportRequest(run=run.path))
    figures = ("mape", "kendall_tau", "noise_mape", "macs_mape", "macs_tau")
    return DemoOutcome(
        run=run,
        report=Path(written["report"]),
        max_latency_ms=limit_ms,
        front=searched.front,
        networks=compared.networks,
        ranking=checked.content["ranking"],
        table={name: profiled[name] for name in figures},
        seconds=time.monotonic() - start,
    )


def fit_count(seconds: float, seconds_each: float, least: int, most: int) -> int:
    """Return how many pieces of work fit into a time, within bounds."""
    return max(least, min(most, int(seconds / seconds_each)))


def supernet_step_seconds(space: SearchSpace) -> float:
    """Time some sandwich steps of a throw-away supernet; the mean, as steps differ by the blocks they draw."""
    training = SupernetTraining(Supernet(space), SupernetRecipe(), seed=0, steps_per_epoch=100)
    images, labels = example_batch(SupernetRecipe().batch_size)
    with divided_cores():
        for _ in range(WARMUP_STEPS):
            train_step(training, images, labels)
        start = time.monotonic()
        for _ in range(TIMED_SUPERNET_STEPS):
            train_step(training, images, labels)
    return (time.monotonic() - start) / TIMED_SUPERNET_STEPS


def pick_epoch_seconds(run: Run, dataset: Dataset) -> float:
    """Time what an epoch of the knee of the front costs, trained stand-alone."""
    (row,) = pick_rows(run.newest_search().front(), ["knee"])
    with divided_cores():
        return seconds_per_epoch(build_subnet(row.architecture, dataset.num_classes), dataset)


def best_pattern(presets: Sequence[PresetRow]) -> PresetRow:
    """Return the hand-designed pattern that does best in the supernet's weights: the hardest one to beat."""
    return max(presets, key=lambda row: (row.accuracy, -row.latency_ms))


def epoch_seconds(run: Run, dataset: Dataset, pattern: PresetRow) -> float:
    """Time what one more epoch costs: of every pick, of the control from scratch and of every hand-designed model."""
    front = run.newest_search().front()
    rows: list[JudgedNetwork] = [*pick_rows(front, PICKS), *pick_rows(front, ["best"]), pattern]
    models: list[nn.Module] = [build_subnet(row.architecture, dataset.num_classes) for row in rows]
    models += [
        build_reference(parse_reference(name, dataset.resolution), dataset.num_classes) for name in DEFAULT_MODELS
    ]
    with divided_cores():
        return sum(seconds_per_epoch(model, dataset) for model in models) / AT_ONCE


def seconds_per_epoch(model: nn.Module, dataset: Dataset) -> float:
    """Return the seconds that an epoch takes, from the time of a few batches and of making the samples."""
    recipe = Recipe(epochs=1)
    start = time.monotonic()
    split = dataset.train(0)
    making = time.monotonic() - start
    assert isinstance(split, Split)
    few = Split(split.images[: TIMED_STEPS * recipe.batch_size], split.labels[: TIMED_STEPS * recipe.batch_size])
    ends = [0.0]
    brief = replace(dataset, num_train=len(few), make_train=lambda epoch: few)
    train_model(model, brief, recipe, 0, lambda *_: ends.append(time.monotonic()))
    return making + (ends[-1] - ends[2]) / (TIMED_STEPS - 2) * (len(split) // recipe.batch_size)


def example_batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a batch of noise of the demo's shape."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    return images, torch.arange(size) % 10


def last_lines(outcome: DemoOutcome) -> list[str]:
    """Return five lines: the best under the limit, a hand-designed model beside it, front, report, what next."""
    limit = outcome.max_latency_ms
    searched = [network for network in outcome.networks if network.kind == SEARCHED]
    within = [network for network in searched if latency_of(network) <= limit]
    best = max(within or searched, key=lambda network: network.validation_accuracy or 0.0)
    kept = "under" if within else "but none is under"
    models = [network for network in outcome.networks if network.kind != SEARCHED]
    front, table, ranking = outcome.front, outcome.table, outcome.ranking
    span = front[-1].latency_ms / front[0].latency_ms
    return [
        f"best {kept} {format_milliseconds(limit)}: {best.name}, {best.accuracy:.2%} test accuracy, "
        f"{format_milliseconds(latency_of(best))} measured, {(best.num_params or 0) / 1e3:.0f} k parameters",
        beside(best, models),
        f"front: {len(front)} subnets over a factor {span:.1f} in latency; table against held-out networks: MAPE "
        f"{table['mape']:.1%}, Kendall tau {table['kendall_tau']:.2f} (rerun noise {table['noise_mape']:.1%}); "
        f"inherited accuracies against {ranking['n']} networks trained alone: tau "
        f"{in_interval(ranking, 'kendall_tau', '')}",
        f"report: {outcome.report}",
        f"next: nas search --device {DEVICE} --max-latency {0.5 * limit:.2g}ms --run {outcome.run}",
    ]


def latency_of(network: ComparedNetwork) -> float:
    """Return the latency of a network that was compared."""
    assert network.latency_ms is not None, "nas compare has measured it"
    return network.latency_ms


def beside(best: ComparedNetwork, models: Sequence[ComparedNetwork]) -> str:
    """Return how the best subnet compares with the nearest hand-designed model of equal or higher measured latency.

    And with the most accurate of these, where that is another one.
    """
    near = nearest_slower(latency_of(best), models)
    if near is None:
        return "every hand-designed model is faster than it; see the report"
    strongest, _ = strongest_baseline(latency_of(best), models)
    assert strongest is not None
    also = "" if strongest is near else f"; the most accurate of these: {beaten(best, strongest)}"
    return f"nearest hand-designed model at equal or higher latency: {beaten(best, near)}{also}"


def beaten(best: ComparedNetwork, model: ComparedNetwork) -> str:
    """Return the name of a hand-designed model, its figures, and the points by which the best subnet is better."""
    difference = 100 * (best.accuracy - model.accuracy)
    latency = format_milliseconds(latency_of(model))
    return f"{model.name}, {model.accuracy:.2%}, {latency} ({difference:+.2f} points for the searched one)"
