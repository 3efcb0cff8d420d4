"""`--dry-run`: what a command would do, how large it is, what is reachable, how long it would take. Nothing is written.

Each function takes what the command's workflow takes, refuses what it would refuse, and stops before the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.config import make_settings
from nas.data.datasets import load_dataset
from nas.files import read_json
from nas.hardware.device import Device
from nas.hardware.measurement.plan import Plan, check_plan
from nas.hardware.table.catalogue import tables_here
from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.provenance import describe
from nas.progress import Console
from nas.run.folder import find_run, latest_search
from nas.run.models import load_supernet
from nas.run.picks import pick_rows, read_front
from nas.run.staleness import check_weights
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.training.network import Recipe
from nas.training.supernet.recipe import SupernetRecipe
from nas.units import format_bytes, format_count
from nas.workflows.audit import audited_table, audited_training, choose_networks
from nas.workflows.compare.command import (
    common_recipe,
    control_of,
    fine_tuned,
    hand_designed_candidates,
    search_of,
    searched_candidate,
)
from nas.workflows.dry_run.time_estimates import (
    evaluation_seconds,
    profile_seconds,
    supernet_seconds,
    trainings_seconds,
)
from nas.workflows.export import checked, picked
from nas.workflows.finetune import candidate_of, conditions
from nas.workflows.network_training.candidates import training_of
from nas.workflows.network_training.standalone import standalone_job
from nas.workflows.profile import table_path

Plans = dict[str, Any]


def plan_training(
    *, space: str, data: str, seed: int, overrides: Sequence[str], settings: Mapping[str, Any], console: Console
) -> Plans:
    """Say what `nas train-supernet` would do."""
    recipe = make_settings(SupernetRecipe, settings, overrides)
    dataset = load_dataset(data, seed)
    found = SearchSpace.load(space).with_classes(dataset.num_classes)
    return {
        **sizes_of(found),
        **reachable(found),
        "data": dataset.name,
        "images": dataset.num_train,
        "classes": dataset.num_classes,
        "steps": recipe.epochs * (dataset.num_train // recipe.batch_size),
        "settings": asdict(recipe),
        "estimated_seconds": supernet_seconds(found, dataset, recipe, console),
    }


def plan_profile(*, device: Device, space: SearchSpace, plan: Plan) -> Plans:
    """Say what `nas profile` would do."""
    check_plan(plan, device)
    return {
        "table": f"{table_path(device, space, plan)}.json",
        **sizes_of(space),
        "blocks": len(space.operators()),
        "networks": plan.networks,
        "plan": asdict(plan),
        "estimated_seconds": profile_seconds(space, device, plan),
    }


def plan_search(plans: Mapping[str, Any], run: Path, budget: int) -> Plans:
    """Add to the plans of `nas search`, by device, how long the accuracies of the first device would take."""
    return {**plans, "estimated_seconds": budget * evaluation_seconds(run)}


def plan_finetune(
    *,
    run: Path | None,
    picks: Sequence[str],
    start: str,
    seed: int,
    settings: Mapping[str, Any],
    overrides: Sequence[str],
    trials: int,
) -> Plans:
    """Say what `nas finetune` would do; every trial counts as a whole training, so the time is an upper bound."""
    run = find_run(run)
    recipe = make_settings(Recipe, settings, overrides)
    check_weights(run, latest_search(run))
    rows = {row["id"]: row for row in pick_rows(read_front(run), picks)}
    supernet = load_supernet(run)
    at = conditions(run, recipe, supernet)
    wanted = [Architecture.from_json(row["architecture"]) for row in rows.values()]
    trainings = [training_of(candidate_of(each, start, supernet, at.dataset), seed, at) for each in wanted]
    return {
        "run": str(run),
        "networks": {identity: network_line(row) for identity, row in rows.items()},
        "steps": sum(each.steps for each in trainings),
        "trials": trials,
        "settings": asdict(recipe),
        "estimated_seconds": (1 + trials) * trainings_seconds(trainings),
    }


def plan_compare(
    *, run: Path | None, device: str, models: Sequence[str], seed: int, seeds: int, pretrained: Path | None
) -> Plans:
    """Say what `nas compare` would do; fine-tuned subnets are trained again only for further seeds."""
    run = find_run(run)
    search_of(run, device)
    described = [each for _, each in fine_tuned(run)]
    recipe, trials = common_recipe(described)
    supernet = load_supernet(run)
    at = conditions(run, recipe, supernet)
    others = hand_designed_candidates(run, models, at, pretrained)
    others.append(control_of(described, at.dataset.num_classes))
    again = [searched_candidate(each, supernet, at.dataset) for each in described]
    trainings = [
        training_of(each, seed + more, at) for more in range(seeds) for each in [*others, *(again if more else [])]
    ]
    return {
        "run": str(run),
        "models": [each.id for each in others],
        "subnets": [each["id"] for each in described],
        "trainings": len(trainings),
        "steps": sum(each.steps for each in trainings),
        "trials": trials,
        "settings": asdict(recipe),
        "estimated_seconds": (1 + trials) * trainings_seconds(trainings),
    }


def plan_audit(
    *,
    run: Path | None,
    subnets: int,
    presets: bool,
    device: str | None,
    seeds: int,
    seed: int,
    settings: Mapping[str, Any],
    overrides: Sequence[str],
    console: Console,
) -> Plans:
    """Say what `nas audit` would do."""
    run = find_run(run)
    space, recipe, dataset = audited_training(run, settings, overrides)
    chosen = choose_networks(space, audited_table(device, run, space, console), subnets, presets, seed)
    trainings = [standalone_job(each, number, dataset, recipe) for number in range(seeds) for each in chosen]
    return {
        "run": str(run),
        "networks": {each.id: cost_line(each, space.num_classes) for each in chosen},
        "steps": sum(each.steps for each in trainings),
        "settings": asdict(recipe),
        "estimated_seconds": trainings_seconds(trainings),
    }


def plan_export(*, run: Path | None, pick: str, form: str, dtype: str, output: Path | None) -> Plans:
    """Say what `nas export` would do."""
    run = find_run(run)
    dtype = checked(form, dtype)
    identity = picked(run, pick)
    described = read_json(run / "models" / identity / "model.json")
    return {
        "run": str(run),
        "network": identity,
        "format": form,
        "dtype": dtype,
        "output": str(output or run / "exports" / identity),
        "parameters": format_count(described["num_params"]),
        "size as onnx": format_bytes(described["size_bytes"]),
        "test accuracy": described["accuracy"],
    }


def sizes_of(space: SearchSpace) -> Plans:
    """Give the size of a space and the costs of its ends."""
    ends = {"smallest": space.smallest(), "largest": space.largest()}
    return {
        "space": space.name,
        "size": space.size,
        **{name: cost_line(each, space.num_classes) for name, each in ends.items()},
    }


def cost_line(architecture: Architecture, num_classes: int) -> str:
    """Write parameters, MACs and size of an architecture in a line."""
    cost = architecture_cost(architecture, num_classes)
    counts = f"{format_count(cost.num_params)} parameters, {format_count(cost.macs)} MACs"
    return f"{counts}, {format_bytes(cost.size_bytes)}"


def network_line(row: Mapping[str, Any]) -> str:
    """Write accuracy, latency and size of a member of a front in a line."""
    accuracy = f"{row['accuracy']:.1%} inherited (validation)"
    return f"{accuracy}, {row['latency_ms']:.3g} ms {row['provenance']}, {format_count(row['num_params'])} parameters"


def reachable(space: SearchSpace) -> Plans:
    """Give the latencies that a space reaches on this CPU, where it has a table of that space."""
    headers = [(path, header) for path, header in tables_here("cpu") if header["space_hash"] == space.hash]
    if not headers:
        return {"latency": "not known yet: nas profile --device cpu measures this space"}
    table = LatencyTable.load(str(headers[0][0]))
    ends = {"fastest": fastest_architecture(table, space), "slowest": space.largest()}
    return {name: describe(table.predict(each), table.header) for name, each in ends.items()}
