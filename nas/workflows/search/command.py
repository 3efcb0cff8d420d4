"""`nas search`: Pareto-optimal subnets of a trained supernet, per device."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.errors import NasError
from nas.files import append_jsonl, locked, read_json, write_csv, write_json
from nas.hardware.device import this_machine
from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.provenance import describe, scope_of, warnings_of
from nas.progress import Console
from nas.run.evaluations import (
    COLUMNS,
    counted_of,
    evaluation_row,
    front_of,
    metrics_of,
    read_evaluations,
    row_of,
)
from nas.run.folder import find_run, next_number
from nas.run.space import run_space
from nas.run.staleness import digest
from nas.search import load_algorithm
from nas.search.loop import search as run_search
from nas.search.parallel import ray_workers
from nas.search.problem import Evaluation, Problem, SearchResult
from nas.search.racing import Workers, one_by_one
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace
from nas.units import format_milliseconds
from nas.workflows.search.inherited_accuracy import RACED, WHOLE, InheritedAccuracy
from nas.workflows.search.initial import seeds
from nas.workflows.search.presets import judge_presets, preset_latencies
from nas.workflows.search.problem import Limits, problem_of
from nas.workflows.search.quality import search_quality
from nas.workflows.search.reuse import reused
from nas.workflows.search.transfer_matrix import record_transfer
from nas.workflows.tables import ANY, TableChoice, searchable_table, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Everything that a search's result depends on, besides the weights and the table."""

    limits: Limits
    algorithm: str = "surrogate"
    budget: int = 200
    batch: int = 10
    ahead: int = 0
    seed: int = 0
    racing: bool = False
    table: TableChoice = ANY


def search(
    *,
    run: Path | None,
    devices: Sequence[str],
    settings: SearchSettings,
    measured_only: bool,
    resume: bool,
    dry_run: bool,
    console: Console,
    num_workers: int = 1,
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Search a run for every device; give fronts, presets and sanity figures. Prices all before weights are loaded."""
    load_algorithm(settings.algorithm)  # an unknown name is told before anything is priced
    run = find_run(run)
    space = run_space(run)
    tables = {device: table_for(device, space, settings, measured_only, console) for device in devices}
    if dry_run:
        plans = {device: plan(table, settings) for device, table in tables.items()}
        return {"run": str(run), "dry_run": plans}
    judge = InheritedAccuracy(run, RACED if settings.racing else WHOLE)
    scopes = {device: scope_of(table.header) for device, table in tables.items()}
    found: dict[str, Any] = {"run": str(run), "tables": scopes, "fronts": {}, "presets": {}, "sanity": {}}
    earlier: list[tuple[LatencyTable, SearchResult]] = []
    with locked(run), evaluators(judge, num_workers, ray_address, console) as workers:
        for device in () if resume else devices:
            refuse_interrupted(run / "search" / device)
        folders: dict[str, Path] = {}
        for device, table in tables.items():
            folders[device] = prepare_folder(run, device, table, settings, list(folders), resume)
        for device, table in tables.items():
            folder, problem = folders[device], problem_of(table.space, table, settings.limits, judge.objective)
            first = [*seeds(table), *reused(earlier, table, settings.budget)]
            result = search_device(folder, device, table, problem, first, settings, judge, workers, console)
            with console.task(f"presets {device}", len(table.space.presets)) as advance:
                presets = judge_presets(folder, table.space, table, problem.constraints, judge.of, advance)
            initial = genomes_of(seeds(table), table.space)
            searched = {each.candidate for _, before in earlier for each in before.evaluations}
            sanity = search_quality(problem, result, initial, settings.batch, settings.seed, searched)
            found["fronts"][device] = write_result(folder, result, presets, sanity, table, settings)
            found["presets"][device], found["sanity"][device] = presets, sanity
            earlier.append((table, result))
    found["transfer"] = record_transfer(run, found["fronts"], tables, settings.limits.max_latency_ms)
    return found


@contextmanager
def evaluators(
    judge: InheritedAccuracy, num_workers: int, ray_address: str | None, console: Console
) -> Iterator[Workers]:
    """Give what evaluates: Ray for more than one worker or a cluster, else this process; both remember."""
    if num_workers == 1 and ray_address is None:
        yield judge.remembering(one_by_one([judge.objective], time.perf_counter))
        return
    with ray_workers([judge.objective], num_workers, ray_address, console.say) as workers:
        yield judge.remembering(workers)


def table_for(
    device: str, space: SearchSpace, settings: SearchSettings, measured_only: bool, console: Console
) -> LatencyTable:
    """Load a device's table over what it can run of a space, and check that the limits can be met at all.

    `NasError` says what is reachable.
    """
    limits = settings.limits
    table = searchable_table(
        table_of(device, space, console, choice=settings.table, measured_only=measured_only), space
    )
    if table.space != space:
        console.say(f"note: on {device} not every bit-width is measured: {table.space.size:.3g} architectures are left")
    space = table.space
    least = table.predict(fastest_architecture(table, space))
    if limits.max_latency_ms is not None and least.ms > limits.max_latency_ms:
        raise NasError(
            f"no architecture of {space.name} is under {format_milliseconds(limits.max_latency_ms)} on {device}: "
            f"the smallest reachable latency is {describe(least, table.header)}",
            f"--max-latency {1.2 * least.ms:.2g}ms",
        )
    for warning in warnings_of(table, this_machine()):
        console.say(f"note: {warning}")
    console.say(f"{device}: the fastest subnet takes {describe(least, table.header)}")
    return table


def plan(table: LatencyTable, settings: SearchSettings) -> dict[str, Any]:
    """Say what a search would do: settings, size of the space, reachable latencies."""
    space = table.space
    fastest = table.predict(fastest_architecture(table, space))
    largest = table.predict(space.largest())
    return {
        "settings": asdict(settings),
        "space": space.name,
        "size": space.size,
        "fastest": describe(fastest, table.header),
        "largest": describe(largest, table.header),
        **({"presets": preset_latencies(space, table)} if space.presets else {}),
    }


def search_device(
    folder: Path,
    device: str,
    table: LatencyTable,
    problem: Problem,
    first: Sequence[Architecture],
    settings: SearchSettings,
    judge: InheritedAccuracy,
    workers: Workers,
    console: Console,
) -> SearchResult:
    """Search for one device, beginning with `first`; evaluations recorded in `folder` are replayed, not repeated."""
    space, rows = table.space, read_evaluations(folder, repair=True)
    judge.counted |= counted_of(rows)
    front = front_of(rows)

    def record(evaluation: Evaluation) -> None:
        nonlocal front
        row = evaluation_row(evaluation, judge.counted[evaluation.candidate], table, space)
        append_jsonl(folder / "evaluations.jsonl", row)
        front = front_of([*front, row])
        if row in front:
            write_csv(folder / "front.csv", front, COLUMNS)

    with console.task(f"search {device}", settings.budget) as advance:
        return run_search(
            space,
            objectives=problem.objectives,
            constraints=problem.constraints,
            algorithm=settings.algorithm,
            budget=settings.budget,
            batch=settings.batch,
            ahead=settings.ahead,
            seed=settings.seed,
            known=metrics_of(rows, space),
            record=record,
            progress=lambda done, _: advance(done, ""),
            initial=genomes_of(first, space),
            workers=workers,
        )


def genomes_of(architectures: Sequence[Architecture], space: SearchSpace) -> list[list[int]]:
    """Encode architectures as lists of genes."""
    return [space.encode(architecture).tolist() for architecture in architectures]


def prepare_folder(
    run: Path, device: str, table: LatencyTable, settings: SearchSettings, after: list[str], resume: bool
) -> Path:
    """Give the folder to record into; a finished search of the same device is kept under another name.

    `after` are the devices searched before in the same command, whose evaluations this one takes over.
    """
    folder = run / "search" / device
    asked = {
        "device": device,
        **asdict(settings),
        "after": after,
        "weights_sha256": digest(run / "supernet.safetensors"),
        "table_sha256": table.header["csv_sha256"],
    }
    started = folder / "search.json"
    if resume and started.exists():
        before, now = without_min_accuracy(read_json(started)), without_min_accuracy(asked)
        for name, value in before.items():
            if now.get(name) != value:
                raise NasError(
                    f"the search in {folder} was started with another {name}",
                    "Resume with the settings, weights and table it was started with, or search without --resume",
                )
        write_json(started, asked)
        return folder
    if (folder / "front.json").exists():
        kept = next(path for n in range(1, 10**6) if not (path := folder.with_name(f"{device}-{n}")).exists())
        folder.rename(kept)
    write_json(started, asked)
    return folder


def refuse_interrupted(folder: Path) -> None:
    """Refuse to begin anew where an interrupted search lies."""
    if (folder / "evaluations.jsonl").exists() and not (folder / "front.json").exists():
        raise NasError(
            f"{folder} holds an interrupted search",
            "Continue it with --resume, or delete that folder",
        )


def without_min_accuracy(asked: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only picks from the result, so that a resumed search may ask for another."""
    return {**asked, "limits": {name: value for name, value in asked["limits"].items() if name != "min_accuracy"}}


def write_result(
    folder: Path,
    result: SearchResult,
    presets: list[dict[str, Any]],
    sanity: dict[str, Any],
    table: LatencyTable,
    settings: SearchSettings,
) -> list[dict[str, Any]]:
    """Write front.csv, hypervolume.csv and, last, front.json; give the front's rows by rising latency."""
    rows = [row_of(each.candidate, each.metrics["accuracy"], table, table.space) for each in result.front]
    least = settings.limits.min_accuracy
    if least is not None:
        best = max(row["accuracy"] for row in rows)
        rows = [row for row in rows if row["accuracy"] >= least]
        if not rows:
            raise NasError(
                f"no subnet within the limits reaches accuracy {least:g}: the best has {best:.4f}",
                f"Repeat with --resume --min-accuracy {math.floor(1000 * best) / 1000:.3f}: nothing is evaluated twice",
            )
    rows.sort(key=lambda row: (row["latency_ms"], row["id"]))
    write_csv(folder / "front.csv", rows, COLUMNS)
    history = [{"evaluations": count, "hypervolume": volume} for count, volume in result.hypervolume_history]
    write_csv(folder / "hypervolume.csv", history, ("evaluations", "hypervolume"))
    others = (path for path in folder.parent.glob("*/front.json") if path.parent != folder)
    summary = {
        "number": next_number(others),
        "front": rows,
        "presets": presets,
        "reference_point": dict(result.reference_point),
        "num_evaluations": len(result.evaluations),
        "num_infeasible": result.num_infeasible,
        "stopped_by": result.stopped_by,
        "sanity": sanity,
        "table": scope_of(table.header),
    }
    write_json(folder / "front.json", summary)
    return rows
