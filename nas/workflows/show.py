"""`nas show`: what exists - spaces, devices, architectures, runs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from nas.errors import NasError, did_you_mean
from nas.files import JsonObject, read_jsonl
from nas.hardware.prediction.data_sheet import DeviceSpec, device_name, load_spec, spec_files
from nas.hardware.table.header import TableHeader
from nas.run.folder import RUNS
from nas.run.run import Run, all_runs
from nas.space.architecture import Architecture
from nas.space.block_checks import check_blocks
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces
from nas.units import format_count


def show(thing: str | None, name: str | None, *, now: datetime, **asked: Any) -> JsonObject:
    """Describe a space, device, architecture or run; without a name list them, without a thing list all there is.

    `asked` of a device, `model`, `batch` and `dtype`, prices a timm model on it. Ages are those at `now`.
    """
    if thing is None:
        return show_space(None, now) | show_device(None, now) | show_run(None, now)
    if thing not in SHOWN:
        raise NasError(f"nothing called '{thing}' can be shown", did_you_mean(thing, SHOWN))
    if asked:
        return show_model(thing, name, **asked)
    return SHOWN[thing](name, now)


def show_space(name: str | None, now: datetime) -> JsonObject:
    """Size of a space and the costs of its ends."""
    if name is None:
        return {
            "spaces": {
                shipped_space: f"{SearchSpace.load(shipped_space).size:.3g} architectures"
                for shipped_space in shipped_spaces()
            }
        }
    space = SearchSpace.load(name)
    ends = {"smallest": space.smallest(), "largest": space.largest()}
    return {
        "space": space.name,
        "size": space.size,
        "genes": len(space.cardinalities),
        "blocks to measure": len(space.operators()),
        **{end: describe_cost(architecture, space.num_classes) for end, architecture in ends.items()},
        "presets": {
            name: f"{preset.architecture.id}, {describe_cost(preset.architecture, space.num_classes)}; {preset.source}"
            for name, preset in space.presets.items()
        },
        "definition": space.to_dict(),
    }


def describe_cost(architecture: Architecture, num_classes: int) -> str:
    """Parameters and MACs in words."""
    cost = architecture_cost(architecture, num_classes)
    return f"{format_count(cost.num_params)} parameters, {format_count(cost.macs)} MACs"


def show_device(name: str | None, now: datetime) -> JsonObject:
    """The latency table of a device, with provenance, age and validation, and its data sheet."""
    from nas.hardware.device import is_foreign, known_devices, this_machine
    from nas.hardware.table.catalogue import tables_here
    from nas.hardware.table.latency_table import LatencyTable

    if name is None:
        sheets = {device: sheet_line(load_spec(device)) for device in spec_files()}
        tables = {device: [table_line(header, now) for _, header in tables_here(device)] for device in known_devices()}
        return {"devices": tables, "data sheets": sheets, "this machine": this_machine().fingerprint}
    sheet = {"data sheet": asdict(load_spec(name))} if device_name(name) in spec_files() else {}
    if sheet and not tables_here(name):
        return {"device": device_name(name), "provenance": "no table yet: nas search predicts one", **sheet}
    table = LatencyTable.load(name)
    shown = (
        "device",
        "backend",
        "dtype",
        "batch",
        "threads",
        "space",
        "date",
        "fingerprint",
        "correction",
        "prediction",
    )
    header = table.header
    content = header.to_json()
    validation = {key: value for key, value in header.validation.items() if key != "networks"}
    is_here = not is_foreign(header.device_kind, header.fingerprint, this_machine())
    return {
        **{key: content[key] for key in shown if key in content},
        "rows": len(table.rows),
        "provenance": header.provenance,
        "measured on this machine": header.provenance != "predicted" and is_here,
        "validation": validation,
        "all tables": [table_line(header, now) for _, header in tables_here(name)],
        **sheet,
    }


def table_line(header: TableHeader, now: datetime) -> str:
    """Return a table in a line: what it holds for, where it comes from, when, and how it was judged."""
    line = f"{header.backend} {header.dtype} batch {header.batch}, {header.space}: {header.provenance}"
    if header.date is not None:
        line += f" {header.date[:10]}, {age(header.date, now)}"
    judged = header.validation
    if "mape" in judged:
        line += f", held-out MAPE {judged['mape']:.1%}, tau {judged['kendall_tau']:.2f}"
        line += "" if header.trustworthy else " (not trustworthy)"
    return line


def age(date: str, now: datetime) -> str:
    """Return how many days ago an ISO date was; dates without a zone are in UTC, `now` without one is local."""
    then = datetime.fromisoformat(date)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    days = (now.astimezone(UTC) - then).days
    return "today" if days < 1 else f"{days} day{'s' * (days > 1)} old"


def sheet_line(spec: DeviceSpec) -> str:
    """The title of a data sheet and the names it answers to."""
    also = f", also called {', '.join(spec.aliases)}" if spec.aliases else ""
    return f"{spec.title}{also}"


def show_model(
    thing: str, device: str | None, *, model: str | None = None, batch: int | None = None, dtype: str | None = None
) -> JsonObject:
    """The predicted latency of a timm model on a device that is not at hand, with its parameters and MACs."""
    if thing != "device" or device is None or model is None:
        raise NasError(
            "--model, --batch and --dtype price a model on a device",
            "Write for example: nas show device a100 --model resnet50 --batch 128 --dtype fp16",
        )
    from nas.hardware.prediction.operations import build_without_memory
    from nas.hardware.prediction.predict import conditions, predict_network, scaling
    from nas.hardware.table.provenance import describe_predicted
    from nas.nn.timm_model import native_resolution, parse_reference, timm_network

    at = conditions(device, dtype or "fp16", batch or 1)
    reference = parse_reference(model, native_resolution(model))
    try:
        built = build_without_memory(partial(timm_network, reference.name, reference.resolution))
        num_params = sum(parameter.numel() for parameter in built.parameters())
        latency, macs = predict_network(built, reference.resolution, at)
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise NasError(f"{reference} cannot be priced: {reason}", f"Try another size: {reference.name}@224") from error
    return {
        "device": at.spec.name,
        "model": str(reference),
        "dtype": at.dtype,
        "batch": at.batch,
        "backend": at.backend,
        "latency_ms": latency.ms,
        "latency_low_ms": latency.low_ms,
        "latency_high_ms": latency.high_ms,
        "images_per_second": 1e3 * at.batch / latency.ms,
        "provenance": latency.provenance,
        "num_params": num_params,
        "macs": macs,
        "basis": scaling(at).basis,
        "says": describe_predicted(latency, str(at)),
    }


def show_architecture(name: str | None, now: datetime) -> JsonObject:
    """Return an architecture, given as its JSON or as the id of a member of the newest front."""
    from nas.run.picks import pick_rows

    if name is None:
        raise NasError("which architecture?", "nas show architecture ID, with an id of the front, or its JSON")
    if name.lstrip().startswith("{"):
        architecture = Architecture.from_json(name)
        check_blocks(architecture)
        return {"id": architecture.id, "architecture": architecture.to_dict(), "cost": describe_cost(architecture, 10)}
    run = Run.find()
    (row,) = pick_rows(run.newest_search().front(), [name])[:1]
    figures = {column: value for column, value in row.to_row().items() if column != "architecture"}
    cost = describe_cost(row.architecture, run.space().num_classes)
    return {**figures, "cost": cost, "architecture": row.architecture.to_dict()}


def show_run(name: str | None, now: datetime) -> JsonObject:
    """Return what a run was made with and what it holds; without a name, a line for each run."""
    if name is None:
        return {"runs": {run.path.name: run_line(run) for run in all_runs()}}
    run = Run.find(Path(name) if Path(name).exists() else RUNS / name)
    manifest = run.manifest.to_json()
    rows = read_jsonl(run.log_path)
    kept = ("command", "created", "seed", "space", "data", "recipe", "versions")
    return {
        "run": str(run),
        **{key: manifest[key] for key in kept},
        "training": rows[-1] if rows else "not trained yet",
        "searches": [search.path.name for search in run.searches()],
        "models": [folder.name for folder in run.models()],
    }


def run_line(run: Run) -> str:
    """Return a run in a line: its space and data, when it was begun, how far it came."""
    manifest, rows = run.manifest, read_jsonl(run.log_path)
    searches = [search.path.name for search in run.searches()]
    parts = [f"{manifest.space} on {manifest.data}, {manifest.created[:16].replace('T', ' ')}"]
    parts.append(f"{rows[-1]['epoch']} epochs" if rows else "not trained yet")
    parts += [f"searched for {', '.join(searches)}"] if searches else []
    return "; ".join(parts)


SHOWN = {"space": show_space, "device": show_device, "architecture": show_architecture, "run": show_run}
