"""`nas search`: Pareto-optimal subnets of a trained supernet, per device."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.errors import NasError
from nas.files import JsonObject
from nas.hardware.device import this_machine
from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.latency_table import Latency, LatencyTable
from nas.hardware.table.provenance import describe, warnings_of
from nas.progress import Console
from nas.report.preset_verdicts import presets_sentence
from nas.report.search_quality import SearchQuality, quality_sentences
from nas.report.transfer_row import TransferRow
from nas.run.evaluations import evaluation_row, judge, metrics_of
from nas.run.run import Run
from nas.run.search import Search, SearchRecord, SearchSummary
from nas.run.search_settings import SearchSettings
from nas.search.algorithms import load_algorithm
from nas.search.evaluation_row import EvaluationRow, FrontMember, PresetRow, front_of
from nas.search.loop import run_search
from nas.search.parallel import ray_workers
from nas.search.problem import Evaluation, Problem, SearchResult
from nas.search.racing import Workers, one_by_one
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace
from nas.units import format_milliseconds
from nas.workflows.requests import RayWorkers, SearchRequest
from nas.workflows.search.inherited_accuracy import RACED, WHOLE, InheritedAccuracy
from nas.workflows.search.initial import initial_architectures
from nas.workflows.search.presets import judge_presets, preset_latencies
from nas.workflows.search.problem import problem_of
from nas.workflows.search.quality import search_quality
from nas.workflows.search.reuse import reused
from nas.workflows.search.transfer_matrix import record_transfer, transfer_lines
from nas.workflows.tables import searchable_table, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSearch:
    """What was found for one device, with the table that priced it."""

    table: LatencyTable
    front: Sequence[FrontMember]
    presets: Sequence[PresetRow]
    quality: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """What `nas search` found, by device, and what the front of one is worth on the others."""

    run: Run
    devices: Mapping[str, DeviceSearch]
    transfer: Sequence[TransferRow]

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        devices = self.devices.items()
        return {
            "run": str(self.run),
            "tables": {device: asdict(result.table.header.scope) for device, result in devices},
            "fronts": {device: [row.to_row() for row in result.front] for device, result in devices},
            "presets": {device: [row.to_row() for row in result.presets] for device, result in devices},
            "sanity": {device: result.quality for device, result in devices},
            "transfer": [row.to_row() for row in self.transfer],
        }


def search(request: SearchRequest, console: Console) -> SearchOutcome:
    """Search a run for every device. Prices all before weights are loaded."""
    settings = request.settings
    load_algorithm(settings.algorithm)  # an unknown name is told before anything is priced
    run = Run.find(request.run)
    tables = tables_for(run, request, console)
    judge_of_run = InheritedAccuracy(run, RACED if settings.racing else WHOLE)
    with run.locked(), evaluators(judge_of_run, request.workers, console) as workers:
        for device in () if request.resume else request.devices:
            refuse_interrupted(run.search(device))
        weights = run.weights_digest()
        for number, (device, table) in enumerate(tables.items()):
            record = SearchRecord(
                device=device,
                settings=settings,
                after=tuple(tables)[:number],
                weights_sha256=weights,
                table_sha256=table.header.csv_sha256,
            )
            prepare_folder(run.search(device), record, request.resume)
        devices: dict[str, DeviceSearch] = {}
        earlier: list[tuple[LatencyTable, SearchResult]] = []
        for device, table in tables.items():
            step = DeviceStep(run.search(device), table, settings, judge_of_run, workers)
            result, devices[device] = search_device(step, earlier, console)
            earlier.append((table, result))
    fronts = {device: found.front for device, found in devices.items()}
    transfer = record_transfer(run.transfer_path, fronts, tables, settings.limits.max_latency_ms)
    return SearchOutcome(run=run, devices=devices, transfer=transfer)


def tables_for(run: Run, request: SearchRequest, console: Console) -> dict[str, LatencyTable]:
    """Load the table of every device, by its name."""
    space = run.space()
    return {device: table_for(device, space, request, console) for device in request.devices}


def table_for(device: str, space: SearchSpace, request: SearchRequest, console: Console) -> LatencyTable:
    """Load a device's table over what it can run of a space, and check that the limits can be met at all.

    `NasError` says what is reachable.
    """
    limits, choice = request.settings.limits, request.settings.table
    whole = table_of(device, space, console, choice=choice, measured_only=request.measured_only)
    table = searchable_table(whole, space)
    if table.space != space:
        left = f"{table.space.size:.3g} architectures are left"
        console.say(f"note: on {device} not every bit-width is measured: {left}")
    space = table.space
    least = table.predict(fastest_architecture(table, space))
    if limits.max_latency_ms is not None and least.ms > limits.max_latency_ms:
        raise NasError(
            f"no architecture of {space.name} is under {format_milliseconds(limits.max_latency_ms)} on {device}: "
            f"the smallest reachable latency is {describe(least, table.header.scope)}",
            f"--max-latency {1.2 * least.ms:.2g}ms",
        )
    for warning in warnings_of(table, this_machine()):
        console.say(f"note: {warning}")
    console.say(f"{device}: the fastest subnet takes {describe(least, table.header.scope)}")
    return table


def plan_of(table: LatencyTable, settings: SearchSettings) -> JsonObject:
    """Return for --dry-run what a search would do: settings, size of the space, reachable latencies."""
    space = table.space
    fastest = table.predict(fastest_architecture(table, space))
    largest = table.predict(space.largest())
    return {
        "settings": asdict(settings),
        "space": space.name,
        "size": space.size,
        "fastest": describe(fastest, table.header.scope),
        "largest": describe(largest, table.header.scope),
        **({"presets": preset_latencies(table)} if space.presets else {}),
    }


@contextmanager
def evaluators(judge_of_run: InheritedAccuracy, workers: RayWorkers, console: Console) -> Iterator[Workers]:
    """Yield what evaluates: Ray for more than one worker or a cluster, else this process; both remember."""
    if not workers.together:
        yield judge_of_run.remembering(one_by_one([judge_of_run.objective], time.perf_counter))
        return
    with ray_workers([judge_of_run.objective], workers.count, workers.address, console.say) as on_ray:
        yield judge_of_run.remembering(on_ray)


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """The search for one device: where it is recorded, what prices it, what judges its candidates."""

    search: Search
    table: LatencyTable
    settings: SearchSettings
    accuracy: InheritedAccuracy
    workers: Workers


def search_device(
    step: DeviceStep, earlier: Sequence[tuple[LatencyTable, SearchResult]], console: Console
) -> tuple[SearchResult, DeviceSearch]:
    """Search for one device after the `earlier` ones, judge its presets, and write what was found."""
    table, settings = step.table, step.settings
    problem, device = problem_of(table, settings.limits, step.accuracy.objective), step.search.path.name
    initial = initial_architectures(table)
    with console.task(f"search {device}", settings.budget) as advance:
        first = [*initial, *reused(earlier, table, settings.budget)]
        result = evaluate_budget(step, problem, first, lambda done, _: advance(done, ""))
    with console.task(f"presets {device}", len(table.space.presets)) as advance:
        presets = judge_presets(step.search, table, problem.constraints, step.accuracy.of, advance)
    searched = {evaluation.candidate for _, before in earlier for evaluation in before.evaluations}
    quality = search_quality(problem, result, genomes_of(initial, table.space), settings, searched)
    front = write_result(step, result, presets, quality)
    return result, DeviceSearch(table=table, front=front, presets=presets, quality=quality)


def evaluate_budget(step: DeviceStep, problem: Problem, first: Sequence[Architecture], progress: Any) -> SearchResult:
    """Spend the budget, beginning with `first`; evaluations that are recorded are replayed, not repeated."""
    table, space, settings, accuracy = step.table, step.table.space, step.settings, step.accuracy
    rows = step.search.evaluations(repair=True)
    accuracy.counted |= {row.architecture: row.counted for row in rows}
    front: list[EvaluationRow] = front_of(rows)

    def record(evaluation: Evaluation) -> None:
        nonlocal front
        row = evaluation_row(evaluation, accuracy.counted[evaluation.candidate], table, space)
        step.search.append(row)
        front = front_of([*front, row])
        if row in front:
            step.search.write_front(front)

    return run_search(
        problem,
        algorithm=settings.algorithm,
        budget=settings.budget,
        batch=settings.batch,
        ahead=settings.ahead,
        seed=settings.seed,
        known=metrics_of(rows, space),
        record=record,
        progress=progress,
        initial=genomes_of(first, space),
        workers=step.workers,
    )


def genomes_of(architectures: Sequence[Architecture], space: SearchSpace) -> list[list[int]]:
    """Encode architectures as lists of genes."""
    return [space.encode(architecture).tolist() for architecture in architectures]


def prepare_folder(search: Search, record: SearchRecord, resume: bool) -> None:
    """Write what a search is asked into its folder; a finished search of the device is kept under another name.

    `NasError` where a search is resumed with other settings, weights or tables.
    """
    if resume and search.record_path.exists():
        before, now = (without_min_accuracy(either).to_json() for either in (search.record(), record))
        for name, value in before.items():
            if now[name] != value:
                raise NasError(
                    f"the search in {search} was started with another {name}",
                    "Resume with the settings, weights and table it was started with, or search without --resume",
                )
    elif search.is_finished:
        folder = search.path
        kept = next(path for n in range(1, 10**6) if not (path := folder.with_name(f"{folder.name}-{n}")).exists())
        folder.rename(kept)
    search.write_record(record)


def refuse_interrupted(search: Search) -> None:
    """Raise `NasError` where an interrupted search lies."""
    if search.is_interrupted:
        raise NasError(
            f"{search} holds an interrupted search",
            "Continue it with --resume, or delete that folder",
        )


def without_min_accuracy(record: SearchRecord) -> SearchRecord:
    """Leave out what only picks from the result, so that a resumed search may ask for another."""
    limits = replace(record.settings.limits, min_accuracy=None)
    return replace(record, settings=replace(record.settings, limits=limits))


def write_result(
    step: DeviceStep, result: SearchResult, presets: Sequence[PresetRow], quality: JsonObject
) -> list[FrontMember]:
    """Write front.csv, hypervolume.csv and, last, front.json; return the front by rising latency."""
    table, search = step.table, step.search
    front = [
        judge(FrontMember, evaluation.candidate, evaluation.metrics["accuracy"], table, table.space)
        for evaluation in result.front
    ]
    front = sorted(accurate(front, step.settings.limits.min_accuracy), key=lambda row: (row.latency_ms, row.id))
    search.write_front(front)
    search.write_hypervolume(result.hypervolume_history)
    search.write_summary(
        SearchSummary(
            number=search.next_number(),
            front=tuple(front),
            presets=tuple(presets),
            reference_point=dict(result.reference_point),
            num_evaluations=len(result.evaluations),
            num_infeasible=result.num_infeasible,
            stopped_by=result.stopped_by,
            sanity=quality,
            table=table.header.scope,
        )
    )
    return front


def accurate(front: list[FrontMember], least: float | None) -> list[FrontMember]:
    """Return the members of a front that reach an accuracy; `NasError` where none does."""
    if least is None:
        return front
    kept = [row for row in front if row.accuracy >= least]
    if not kept:
        best = max(row.accuracy for row in front)
        raise NasError(
            f"no subnet within the limits reaches accuracy {least:g}: the best has {best:.4f}",
            f"Repeat with --resume --min-accuracy {math.floor(1000 * best) / 1000:.3f}: nothing is evaluated twice",
        )
    return kept


def search_lines(outcome: SearchOutcome) -> list[str]:
    """Return in words what was found for each device."""
    lines = []
    for device, result in outcome.devices.items():
        front, presets = result.front, result.presets
        best = max(front, key=lambda row: row.accuracy)
        latency = Latency(best.latency_ms, best.latency_low_ms, best.latency_high_ms, best.provenance)
        lines.append(
            f"{device}: {len(front)} subnets on the front, {front[0].latency_ms:.3g} to {front[-1].latency_ms:.3g} ms; "
            f"best {best.id}: {best.accuracy:.1%} inherited (validation) at "
            f"{describe(latency, result.table.header.scope)}"
        )
        lines += [f"{device}: {presets_sentence(front, presets)}"] if presets else []
        lines += [f"{device}: {line}" for line in quality_sentences(SearchQuality.from_json(result.quality))]
    return [*lines, *transfer_lines(outcome.transfer)]
