"""`nas show`: what exists - spaces, devices, architectures, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.errors import NasError, did_you_mean
from nas.run_dir import find_run, read_json, read_rows, run_names
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces
from nas.units import format_count


def show(thing: str, name: str | None) -> dict[str, Any]:
    """Describe a space, device, architecture or run; without a name list them."""
    if thing not in SHOWN:
        raise NasError(f"nothing called '{thing}' can be shown", did_you_mean(thing, SHOWN))
    return SHOWN[thing](name)


def show_space(name: str | None) -> dict[str, Any]:
    """Size of a space and the costs of its ends."""
    if name is None:
        return {"spaces": {each: f"{SearchSpace.load(each).size:.3g} architectures" for each in shipped_spaces()}}
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


def show_device(name: str | None) -> dict[str, Any]:
    """The latency table of a device: provenance, age, validation."""
    from nas.hardware.device import known_devices, this_machine
    from nas.hardware.latency_table import LatencyTable, foreign

    if name is None:
        return {"devices": list(known_devices()), "this machine": this_machine().fingerprint}
    table = LatencyTable.load(name)
    shown = ("device", "backend", "dtype", "batch", "threads", "space", "date", "fingerprint", "correction")
    validation = {key: value for key, value in table.header.get("validation", {}).items() if key != "networks"}
    return {
        **{key: table.header[key] for key in shown},
        "rows": len(table.rows),
        "provenance": table.header["provenance"],
        "measured on this machine": not foreign(table, this_machine()),
        "validation": validation,
    }


def show_architecture(name: str | None) -> dict[str, Any]:
    """An architecture, given as its JSON or as the id of a member of the newest front."""
    from nas.workflows.picks import pick_rows, read_front
    from nas.workflows.run_space import run_space

    if name is None:
        raise NasError("which architecture?", "nas show architecture ID, with an id of the front, or its JSON")
    if name.lstrip().startswith("{"):
        architecture = Architecture.from_json(name)
        return {"id": architecture.id, "architecture": architecture.to_dict(), "cost": describe_cost(architecture, 10)}
    run = find_run(None)
    row = dict(pick_rows(read_front(run), [name])[0])
    architecture = Architecture.from_json(row.pop("architecture"))
    return {
        **row,
        "cost": describe_cost(architecture, run_space(run).num_classes),
        "architecture": architecture.to_dict(),
    }


def show_run(name: str | None) -> dict[str, Any]:
    """A run: what it was made with and what it holds."""
    if name is None:
        return {"runs": run_names()}
    run = find_run(Path(name) if Path(name).exists() else Path("runs") / name)
    manifest = read_json(run / "run.json")
    rows = read_rows(run / "training.jsonl")
    kept = ("command", "created", "seed", "space", "data", "recipe", "versions")
    return {
        "run": str(run),
        **{key: manifest[key] for key in kept if key in manifest},
        "training": rows[-1] if rows else "not trained yet",
        "searches": sorted(path.parent.name for path in run.glob("search/*/front.json")),
        "models": sorted(path.parent.name for path in run.glob("models/*/model.json")),
    }


SHOWN = {"space": show_space, "device": show_device, "architecture": show_architecture, "run": show_run}
