"""`nas profile`: measure every block of a space on this machine into a latency table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.errors import NasError
from nas.hardware.device import Device, this_machine, user_root
from nas.hardware.device_spec import device_name, spec_files
from nas.hardware.latency_table import DEFAULT_SPACE, LatencyTable
from nas.hardware.profile import Plan, profile
from nas.progress import Talk
from nas.run_dir import find_run
from nas.space.search_space import SearchSpace
from nas.workflows.run_space import run_space

MAX_MAPE, MIN_TAU = 0.10, 0.85  # beyond these a table is marked and the command exits with 4


def space_to_measure(space: str, data: str | None, run: Path | None) -> SearchSpace:
    """Give the space to measure: that of a run, or a named one with the classes of a data set."""
    if run is not None:
        return run_space(find_run(run))
    if data is None:
        return SearchSpace.load(space)
    from nas.evaluation.data import load_dataset

    return SearchSpace.load(space).with_classes(load_dataset(data).num_classes)


def profile_device(*, device: str, space: SearchSpace, plan: Plan, resume: bool, talk: Talk) -> dict[str, Any]:
    """Measure and validate a latency table for `device`, which is this machine; give what the validation says."""
    path = table_path(device, space, plan)
    talk.say(f"measuring {len(space.operators())} blocks of {space.name} and {plan.networks} networks")
    table = run_profile(space, device, plan, path, resume, talk)
    validation = table.header["validation"]
    found = {"table": str(path.with_name(f"{path.name}.json")), "rows": len(table.rows)}
    found |= {name: value for name, value in validation.items() if name != "networks"} if plan.networks else {}
    found["passed"] = not plan.networks or is_trustworthy(validation)
    return found


def run_profile(space: SearchSpace, device: str, plan: Plan, path: Path, resume: bool, talk: Talk) -> LatencyTable:
    """Measure a table with progress in per cent."""
    machine = this_machine()
    described = Device(device, machine.kind, machine.fingerprint)
    with talk.task("profile", 100) as advance:

        def show(what: str, done: int, total: int) -> None:
            # The networks are measured a second time at the end; that is about a tenth of the work.
            share = done / total if total else 1.0  # --validate 0: there are none to measure again
            advance(int(90 + 10 * share if what == "networks again" else 90 * share), what)

        return profile(space, described, plan, path, resume=resume, progress=show)


def table_path(device: str, space: SearchSpace, plan: Plan) -> Path:
    """Give the stem of a table's files; the default space has the short name."""
    stem = f"{plan.backend}-{plan.dtype}-b{plan.batch}-t{plan.threads}"
    return user_root() / device / (stem if space.name == DEFAULT_SPACE else f"{stem}-{space.name}")


def is_trustworthy(validation: dict[str, Any]) -> bool:
    """Say whether held-out networks are predicted well enough: an error near the noise, and in the right order."""
    allowed = max(MAX_MAPE, 2 * validation["noise_mape"])
    return bool(validation["mape"] <= allowed and validation["kendall_tau"] >= MIN_TAU)


def check_is_here(device: str) -> None:
    """Refuse to measure, under the name of a known remote device, a machine that is not it."""
    if device_name(device) in spec_files():
        raise NasError(
            f"this machine is no {device}: its CPU would be measured under that name",
            "Run nas profile on the device itself; for this machine: nas profile --device cpu",
        )
