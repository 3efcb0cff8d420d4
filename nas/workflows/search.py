"""`nas search`: Pareto-optimal subnets of a trained supernet, per device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.errors import NasError
from nas.hardware.device import this_machine
from nas.hardware.latency_table import LatencyTable, describe, foreign, scope_of
from nas.hardware.reachable import fastest_architecture
from nas.progress import Talk
from nas.run_dir import append_row, find_run, locked, read_json, read_rows, write_json, write_rows
from nas.search.loop import search as run_search
from nas.search.problem import Constraint, Evaluation, Objective, SearchResult
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.units import format_milliseconds
from nas.workflows.evaluations import COLUMNS, row_of
from nas.workflows.presets import judge_presets, preset_latencies
from nas.workflows.provenance import digest
from nas.workflows.run_space import run_space
from nas.workflows.tables import ANY, TableChoice, table_of
from nas.workflows.transfer_matrix import record_transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a chosen network must keep to; None: no limit."""

    max_latency_ms: float | None = None
    max_params: float | None = None
    max_size_bytes: float | None = None
    min_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Everything that a search's result depends on, besides the weights and the table."""

    limits: Limits
    algorithm: str = "surrogate"
    budget: int = 200
    batch: int = 10
    seed: int = 0
    table: TableChoice = ANY


def search(
    *,
    run: Path | None,
    devices: Sequence[str],
    settings: SearchSettings,
    measured_only: bool,
    resume: bool,
    dry_run: bool,
    talk: Talk,
) -> dict[str, Any]:
    """Search a run for every device; give fronts and presets. Prices everything before any weights are loaded."""
    run = find_run(run)
    space = run_space(run)
    tables = {device: table_for(device, space, settings, measured_only, talk) for device in devices}
    if dry_run:
        return {"run": str(run), "dry_run": {device: plan(tables[device], space, settings) for device in devices}}
    accuracy_of = inherited_accuracies(run)
    fronts, presets = {}, {}
    with locked(run):
        for device in () if resume else devices:
            refuse_interrupted(run / "search" / device)
        folders = {device: prepare_folder(run, device, tables[device], settings, resume) for device in tables}
        for device, table in tables.items():
            folder, limits = folders[device], constraints_of(settings.limits, space, table, latencies(table))
            result = search_device(folder, device, table, space, settings, accuracy_of, talk)
            presets[device] = judge_presets(folder, space, table, limits, accuracy_of)
            fronts[device] = write_result(folder, result, presets[device], table, space, settings)
    transfer = record_transfer(run, fronts, tables, settings.limits.max_latency_ms)
    scopes = {device: scope_of(table.header) for device, table in tables.items()}
    return {"run": str(run), "tables": scopes, "fronts": fronts, "presets": presets, "transfer": transfer}


def table_for(
    device: str, space: SearchSpace, settings: SearchSettings, measured_only: bool, talk: Talk
) -> LatencyTable:
    """Load a device's table and check that the limits can be met at all; `NasError` says what is reachable."""
    limits = settings.limits
    table = table_of(device, space, talk, choice=settings.table, measured_only=measured_only)
    least = table.predict(fastest_architecture(table, space))
    if limits.max_latency_ms is not None and least.ms > limits.max_latency_ms:
        raise NasError(
            f"no architecture of {space.name} is under {format_milliseconds(limits.max_latency_ms)} on {device}: "
            f"the smallest reachable latency is {describe(least, table.header)}",
            f"--max-latency {1.2 * least.ms:.2g}ms",
        )
    if foreign(table, this_machine()):
        talk.say(f"note: the table of '{device}' was measured on another processor; nas profile --device {device}")
    if least.provenance == "predicted":
        talk.say(f"note: no latency of {device} is measured; the fastest subnet takes {describe(least, table.header)}")
    return table


def plan(table: LatencyTable, space: SearchSpace, settings: SearchSettings) -> dict[str, Any]:
    """Say what a search would do: settings, size of the space, reachable latencies."""
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


def inherited_accuracies(run: Path) -> Callable[[list[Architecture]], list[float]]:
    """Give a function from architectures to accuracies on the validation split; it loads the weights when first used.

    Each architecture is evaluated once, however many devices ask for it.
    """
    known: dict[str, float] = {}
    loaded: list[Any] = []

    def evaluate(architectures: list[Architecture]) -> list[float]:
        from nas.evaluation.accuracy import inherited_accuracy
        from nas.evaluation.data import load_dataset
        from nas.workflows.weights import load_supernet

        if not loaded:
            dataset = load_dataset(read_json(run / "run.json")["data"], read_json(run / "run.json")["seed"])
            loaded.extend([load_supernet(run), dataset.calibration(), dataset.validation()])
        supernet, calibration, validation = loaded
        for architecture in architectures:
            if architecture.id not in known:
                known[architecture.id] = inherited_accuracy(supernet, architecture, calibration, validation)
        return [known[architecture.id] for architecture in architectures]

    return evaluate


def search_device(
    folder: Path,
    device: str,
    table: LatencyTable,
    space: SearchSpace,
    settings: SearchSettings,
    accuracy_of: Callable[[list[Architecture]], list[float]],
    talk: Talk,
) -> SearchResult:
    """Search for one device, recording every evaluation; those recorded in `folder` are replayed, not repeated."""
    recorded = {}
    for row in read_rows(folder / "evaluations.jsonl", repair=True):
        genome = tuple(space.encode(Architecture.from_json(row["architecture"])).tolist())
        recorded[genome] = {"accuracy": row["accuracy"]}

    def record(evaluation: Evaluation) -> None:
        row = row_of(evaluation.candidate, evaluation.metrics["accuracy"], table, space)
        append_row(folder / "evaluations.jsonl", row)

    latency_of = latencies(table)
    with talk.task(f"search {device}", settings.budget) as advance:
        return run_search(
            space,
            objectives=[
                Objective("accuracy", "max", accuracy_of, expensive=True),
                Objective("latency_ms", "min", latency_of, evaluate_genomes=table.predict_many),
            ],
            constraints=constraints_of(settings.limits, space, table, latency_of),
            algorithm=settings.algorithm,
            budget=settings.budget,
            batch=settings.batch,
            seed=settings.seed,
            known=recorded,
            record=record,
            progress=lambda done, _: advance(done, ""),
            initial=[space.encode(each).tolist() for each in seeds(space, table)],
        )


def seeds(space: SearchSpace, table: LatencyTable) -> list[Architecture]:
    """Give the architectures that every search begins with: the fastest, the smallest, the largest, the presets."""
    presets = [preset.architecture for preset in space.presets.values()]
    return list(dict.fromkeys([fastest_architecture(table, space), space.smallest(), space.largest(), *presets]))


def latencies(table: LatencyTable) -> Callable[[list[Architecture]], list[float]]:
    """Give a function from architectures to their predicted latencies in milliseconds."""
    return lambda architectures: [table.predict(architecture).ms for architecture in architectures]


def constraints_of(
    limits: Limits, space: SearchSpace, table: LatencyTable, latency_of: Callable[[list[Architecture]], list[float]]
) -> list[Constraint]:
    """Turn the limits on cheap figures into constraints; `latency_of` is shared with the objective."""

    def params(candidates: list[Architecture]) -> list[float]:
        return [float(architecture_cost(each, space.num_classes).num_params) for each in candidates]

    def size(candidates: list[Architecture]) -> list[float]:
        return [float(architecture_cost(each, space.num_classes).size_bytes) for each in candidates]

    found = []
    if limits.max_latency_ms is not None:
        found.append(Constraint("latency_ms", limits.max_latency_ms, latency_of, table.predict_many))
    if limits.max_params is not None:
        found.append(Constraint("num_params", limits.max_params, params))
    if limits.max_size_bytes is not None:
        found.append(Constraint("size_bytes", limits.max_size_bytes, size))
    return found


def prepare_folder(run: Path, device: str, table: LatencyTable, settings: SearchSettings, resume: bool) -> Path:
    """Give the folder to record into; a finished search of the same device is kept under another name."""
    folder = run / "search" / device
    asked = {
        "device": device,
        **asdict(settings),
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
    table: LatencyTable,
    space: SearchSpace,
    settings: SearchSettings,
) -> list[dict[str, Any]]:
    """Write front.csv, hypervolume.csv and, last, front.json; give the front's rows by rising latency."""
    rows = [row_of(each.candidate, each.metrics["accuracy"], table, space) for each in result.front]
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
    write_rows(folder / "front.csv", rows, COLUMNS)
    history = [{"evaluations": count, "hypervolume": volume} for count, volume in result.hypervolume_history]
    write_rows(folder / "hypervolume.csv", history, ("evaluations", "hypervolume"))
    summary = {
        "front": rows,
        "presets": presets,
        "reference_point": dict(result.reference_point),
        "num_evaluations": len(result.evaluations),
        "num_infeasible": result.num_infeasible,
        "stopped_by": result.stopped_by,
    }
    write_json(folder / "front.json", summary)
    return rows
