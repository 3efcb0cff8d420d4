"""`--dry-run`: what a command would do, how large it is, what is reachable, how long it would take. Nothing is written.

Each function takes what the command's workflow takes, refuses what it would refuse, and stops before the work.
"""

from __future__ import annotations

from dataclasses import asdict

from nas.config import make_settings
from nas.data.datasets import load_dataset
from nas.files import JsonObject, read_json
from nas.hardware.measurement.plan import check_plan
from nas.hardware.table.catalogue import tables_here
from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.provenance import describe
from nas.progress import Console
from nas.run.run import Run
from nas.search.algorithms import load_algorithm
from nas.search.evaluation_row import FrontMember
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.training.network import Recipe
from nas.training.supernet.recipe import SupernetRecipe
from nas.units import format_bytes, format_count
from nas.workflows.audit import audited_table, audited_training, choose_networks
from nas.workflows.compare.command import (
    common_recipe,
    fine_tuned,
    hand_designed_candidates,
    scratch_baseline,
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
from nas.workflows.finetune import asked_of, candidate_of, conditions
from nas.workflows.network_training.candidates import training_of
from nas.workflows.network_training.standalone import standalone_job
from nas.workflows.profile import table_path
from nas.workflows.requests import (
    AuditRequest,
    CompareRequest,
    ExportRequest,
    FinetuneRequest,
    ProfileRequest,
    SearchRequest,
    TrainRequest,
)
from nas.workflows.search.command import plan_of, tables_for


def plan_training(request: TrainRequest, console: Console) -> JsonObject:
    """Return what `nas train-supernet` would do."""
    recipe = make_settings(SupernetRecipe, request.settings, request.overrides)
    dataset = load_dataset(request.data, request.seed)
    space = SearchSpace.load(request.space).with_classes(dataset.num_classes)
    return {
        **sizes_of(space),
        **reachable(space),
        "data": dataset.name,
        "images": dataset.num_train,
        "classes": dataset.num_classes,
        "steps": recipe.epochs * (dataset.num_train // recipe.batch_size),
        "settings": asdict(recipe),
        "estimated_seconds": supernet_seconds(space, dataset, recipe, console),
    }


def plan_profile(request: ProfileRequest, console: Console) -> JsonObject:
    """Return what `nas profile` would do."""
    device, space, plan = request.device, request.space, request.plan
    check_plan(plan, device)
    return {
        "table": f"{table_path(device, space, plan)}.json",
        **sizes_of(space),
        "blocks": len(space.operators()),
        "networks": plan.networks,
        "plan": asdict(plan),
        "estimated_seconds": profile_seconds(space, device, plan),
    }


def plan_search(request: SearchRequest, console: Console) -> JsonObject:
    """Return what `nas search` would do, by device, and how long the accuracies of the first device would take."""
    load_algorithm(request.settings.algorithm)
    run = Run.find(request.run)
    tables = tables_for(run, request, console)
    plans = {device: plan_of(table, request.settings) for device, table in tables.items()}
    return {**plans, "estimated_seconds": request.settings.budget * evaluation_seconds(run)}


def plan_finetune(request: FinetuneRequest, console: Console) -> JsonObject:
    """Return what `nas finetune` would do; every trial counts as a whole training, so the time is an upper bound."""
    recipe = make_settings(Recipe, request.settings, request.overrides)
    run, picked = asked_of(request)
    supernet = run.supernet()
    at = conditions(run, recipe, supernet)
    candidates = [candidate_of(row.architecture, request.start, supernet, at.dataset) for row in picked]
    jobs = [training_of(candidate, request.seed, at) for candidate in candidates]
    return {
        "run": str(run),
        "networks": {row.id: network_line(row) for row in picked},
        "steps": sum(job.steps for job in jobs),
        "trials": request.trials,
        "settings": asdict(recipe),
        "estimated_seconds": (1 + request.trials) * trainings_seconds(jobs),
    }


def plan_compare(request: CompareRequest, console: Console) -> JsonObject:
    """Return what `nas compare` would do; fine-tuned subnets are trained again only for further seeds."""
    run = Run.find(request.run)
    search_of(run, request.device)
    described = [description for _, description in fine_tuned(run)]
    recipe, trials = common_recipe(described)
    supernet = run.supernet()
    at = conditions(run, recipe, supernet)
    others = hand_designed_candidates(run, request.models, at, request.pretrained)
    others.append(scratch_baseline(described, at.dataset.num_classes))
    again = [searched_candidate(description, supernet, at.dataset) for description in described]
    jobs = [
        training_of(candidate, request.seed + more, at)
        for more in range(request.seeds)
        for candidate in [*others, *(again if more else [])]
    ]
    return {
        "run": str(run),
        "models": [candidate.id for candidate in others],
        "subnets": [description.id for description in described],
        "trainings": len(jobs),
        "steps": sum(job.steps for job in jobs),
        "trials": trials,
        "settings": asdict(recipe),
        "estimated_seconds": (1 + trials) * trainings_seconds(jobs),
    }


def plan_audit(request: AuditRequest, console: Console) -> JsonObject:
    """Return what `nas audit` would do."""
    run = Run.find(request.run)
    space, recipe, dataset = audited_training(run, request)
    chosen = choose_networks(space, audited_table(request.device, run, space, console), request)
    jobs = [standalone_job(network, seed, dataset, recipe) for seed in range(request.seeds) for network in chosen]
    return {
        "run": str(run),
        "networks": {network.id: cost_line(network, space.num_classes) for network in chosen},
        "steps": sum(job.steps for job in jobs),
        "settings": asdict(recipe),
        "estimated_seconds": trainings_seconds(jobs),
    }


def plan_export(request: ExportRequest, console: Console) -> JsonObject:
    """Return what `nas export` would do."""
    run = Run.find(request.run)
    dtype = checked(request.form, request.dtype)
    identity = picked(run, request.pick)
    described = read_json(run.model(identity) / "model.json")
    return {
        "run": str(run),
        "network": identity,
        "format": request.form,
        "dtype": dtype,
        "output": str(request.output or run.export(identity)),
        "parameters": format_count(described["num_params"]),
        "size as onnx": format_bytes(described["size_bytes"]),
        "test accuracy": described["accuracy"],
    }


def sizes_of(space: SearchSpace) -> JsonObject:
    """Return the size of a space and the costs of its ends."""
    ends = {"smallest": space.smallest(), "largest": space.largest()}
    return {
        "space": space.name,
        "size": space.size,
        **{name: cost_line(architecture, space.num_classes) for name, architecture in ends.items()},
    }


def cost_line(architecture: Architecture, num_classes: int) -> str:
    """Write parameters, MACs and size of an architecture in a line."""
    cost = architecture_cost(architecture, num_classes)
    counts = f"{format_count(cost.num_params)} parameters, {format_count(cost.macs)} MACs"
    return f"{counts}, {format_bytes(cost.size_bytes)}"


def network_line(row: FrontMember) -> str:
    """Write accuracy, latency and size of a member of a front in a line."""
    accuracy = f"{row.accuracy:.1%} inherited (validation)"
    return f"{accuracy}, {row.latency_ms:.3g} ms {row.provenance}, {format_count(row.num_params)} parameters"


def reachable(space: SearchSpace) -> JsonObject:
    """Return the latencies that a space reaches on this CPU, where it has a table of that space."""
    headers = [(path, header) for path, header in tables_here("cpu") if header.space_hash == space.hash]
    if not headers:
        return {"latency": "not known yet: nas profile --device cpu measures this space"}
    table = LatencyTable.load(str(headers[0][0]))
    ends = {"fastest": fastest_architecture(table, space), "slowest": space.largest()}
    return {name: describe(table.predict(architecture), table.header.scope) for name, architecture in ends.items()}
