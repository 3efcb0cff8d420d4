"""`nas profile`: measure every block of a space on this machine into a latency table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.errors import NasError
from nas.files import JsonObject
from nas.hardware.backends.registry import BACKENDS, DEFAULT_BACKENDS
from nas.hardware.device import Device, check_device_name, this_machine
from nas.hardware.gpu import this_gpu
from nas.hardware.measurement.plan import Plan, check_plan
from nas.hardware.measurement.profile import profile
from nas.hardware.prediction.data_sheet import device_name, load_spec, spec_files
from nas.hardware.table.catalogue import DEFAULT_SPACE
from nas.hardware.table.latency_table import LatencyTable
from nas.progress import Console
from nas.run.run import Run
from nas.shipped import user_tables
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces
from nas.workflows.requests import ProfileRequest


def space_to_measure(space: str, data: str | None, run: Path | None) -> SearchSpace:
    """Return the space to measure: that of a run, or a named one with the classes of a data set."""
    if run is not None:
        return Run.find(run).space()
    if data is None:
        return SearchSpace.load(space)
    from nas.data.datasets import load_dataset

    return SearchSpace.load(space).with_classes(load_dataset(data).num_classes)


def device_here(name: str, backend: str | None = None) -> Device:
    """Return this machine, or its GPU, under the name it was asked for; `NasError` where the name is another device's.

    A name with a data sheet, or an alias of one, is that GPU; `cuda` is whatever GPU is here. Any other name is this
    CPU, or its GPU where the backend runs on one only.
    """
    known, gpu = device_name(check_device_name(name)), this_gpu()
    needs_gpu = backend in BACKENDS and "cpu" not in BACKENDS[backend].dtypes
    if gpu is not None and name == gpu.name:
        name = "cuda"  # a GPU without a data sheet, by its own name
    if known not in spec_files() and name != "cuda" and not needs_gpu:
        return Device(name, "cpu", this_machine().fingerprint)
    if gpu is None:
        wanted = f"this machine is no {name}" if known in spec_files() else f"{backend or name} needs a GPU"
        raise NasError(
            f"{wanted}: PyTorch sees no CUDA device here",
            "Run this on the device itself; for this machine: --device cpu",
        )
    model = gpu.fingerprint["model"]
    sheets = [spec for spec in map(load_spec, spec_files()) if model in spec.reported_as]
    if known in spec_files() and known not in [spec.name for spec in sheets]:
        raise NasError(
            f"this machine is no {name}: its GPU is '{model}'", "Measure it under its own name: --device cuda"
        )
    if name == "cuda":
        known = sheets[0].name if sheets else gpu.name
    return Device(known, gpu.kind, gpu.fingerprint)


def plan_for(device: Device, backend: str | None, dtype: str | None, **rest: Any) -> Plan:
    """Make a plan with the default backend and dtype of the kind of device where none is given."""
    usual, precise = DEFAULT_BACKENDS[device.kind]
    chosen = backend or usual
    if dtype is None:
        known = BACKENDS[chosen].dtypes.get(device.kind) if chosen in BACKENDS else None
        dtype = known[0] if known else precise
    return Plan(backend=chosen, dtype=dtype, **rest)


def profile_device(request: ProfileRequest, console: Console) -> JsonObject:
    """Measure and validate a latency table for this machine; return what the validation says."""
    device, space, plan = request.device, request.space, request.plan
    check_plan(plan, device)
    path = table_path(device, space, plan)
    part = f"about {plan.sample} of " if plan.sample else ""
    what = f"{part}{len(space.operators())} blocks of {space.name} and {plan.networks} networks"
    console.say(f"measuring {what} on the {'CPU' if device.kind == 'cpu' else 'GPU'} of this machine, {plan.backend}")
    table = run_profile(request, path, console)
    validation = table.header.validation
    outcome = {"table": str(path.with_name(f"{path.name}.json")), "rows": len(table.rows), "device": device.name}
    outcome["measured_rows"] = sum(row.provenance == "measured" for row in table.rows.values())
    outcome["interpolation"] = table.header.evidence.get("interpolation")
    outcome |= {name: value for name, value in validation.items() if name != "networks"} if plan.networks else {}
    outcome["passed"] = table.header.trustworthy  # a space of few networks holds none out
    return outcome


def run_profile(request: ProfileRequest, path: Path, console: Console) -> LatencyTable:
    """Measure a table with progress in per cent."""
    with console.task("profile", 100) as advance:

        def show(what: str, done: int, total: int) -> None:
            # The networks are measured a second time at the end; that is about a tenth of the work.
            share = done / total if total else 1.0  # --validate 0: there are none to measure again
            advance(int(90 + 10 * share if what == "networks again" else 90 * share), what)

        return profile(request.space, request.device, request.plan, path, resume=request.resume, progress=show)


def table_path(device: Device, space: SearchSpace, plan: Plan) -> Path:
    """Return the stem of a table's files.

    The default space has the short name. A space that is not the shipped one of its name (other classes, say) has its
    hash in the name, so that two tables never take each other's place.
    """
    stem = plan.stem(device.kind)
    if space.name not in shipped_spaces() or SearchSpace.load(space.name).hash != space.hash:
        stem += f"-{space.name}-{space.hash[:8]}"
    elif space.name != DEFAULT_SPACE:
        stem += f"-{space.name}"
    return user_tables() / device.name / stem


def profile_lines(outcome: JsonObject) -> list[str]:
    """Return in lines what a profile measured and how far it can be trusted."""
    measured, rows = outcome["measured_rows"], outcome["rows"]
    lines = [f"table: {outcome['table']}, {measured} measured blocks"]
    if measured < rows:
        kinds = outcome["interpolation"]["kinds"]
        errors = ", ".join(f"{kind} {error['mape']:.1%}" for kind, error in kinds.items())
        lines[0] += f", {rows - measured} interpolated (error when left out: {errors})"
    if "mape" in outcome:
        lines.append(
            f"held-out networks: MAPE {outcome['mape']:.1%}, p90 {outcome['p90']:.1%}, bias {outcome['bias']:+.1%}, "
            f"Kendall tau {outcome['kendall_tau']:.2f} (rerun noise {outcome['noise_mape']:.1%}; "
            f"MACs alone: MAPE {outcome['macs_mape']:.1%}, tau {outcome['macs_tau']:.2f})"
        )
    return lines
