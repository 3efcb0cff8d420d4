"""`nas compare`: hand-designed models by the same recipe and number of images, measured by the same harness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import nn

from nas.config import make_settings
from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.evaluation.data import Dataset
from nas.evaluation.finetune import Recipe
from nas.evaluation.reference import ReferenceModel, parse_reference, weights_file
from nas.evaluation.splits import AnySplit
from nas.evaluation.verdict import Trained, accuracy_at, latency_at, rival_of, verdict
from nas.hardware.latency_table import Latency, LatencyTable
from nas.hardware.origin import scope_of
from nas.progress import Talk
from nas.run_dir import find_run, latest_search, locked, read_json, write_rows
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost
from nas.supernet.subnet import Subnet
from nas.supernet.supernet import Supernet
from nas.workflows.entrants import (
    Conditions,
    Entrant,
    Tuned,
    described_training,
    hand_designed,
    subnet_from_scratch,
    training_of,
)
from nas.workflows.finetune import conditions, deployed, entrant_of, load_model
from nas.workflows.provenance import check_table
from nas.workflows.run_space import run_space
from nas.workflows.tables import searched_table
from nas.workflows.trainings import train_each
from nas.workflows.tuning import tune_all
from nas.workflows.weights import load_supernet
from nas.workflows.whole_latencies import is_here, measure_networks, predict_networks, write_measured

COLUMNS = (
    *("name", "kind", "id", "accuracy", "accuracy_std", "latency_ms", "num_params", "macs", "epochs", "recipe"),
    *("source", "images", "resolution", "validation_accuracy", "inherited_accuracy", "provenance"),
    *("latency_low_ms", "latency_high_ms", "num_seeds", "rival", "verdict", "error_ratio", "speed_up"),
)
SCRATCH = "-scratch"  # ends the id of the control, an architecture trained without its supernet
Rows = list[dict[str, Any]]


def compare(
    *,
    run: Path | None,
    device: str,
    models: Sequence[str],
    seed: int,
    talk: Talk,
    seeds: int = 1,
    pretrained: Path | None = None,
    num_workers: int = 1,
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Train `models` as the run's fine-tuned subnets were, all of them with `seeds` seeds, and measure them together.

    A model is a timm model or a preset of the run's space; with `pretrained`, timm models begin with the weights that
    lie in that folder. Where the subnets' recipes were tuned, all others' are, by as many trials. The most accurate
    subnet is also trained from scratch: what the supernet's weights add, and what the architecture alone is worth, can
    both be read off. Killed, it goes on where it was.
    """
    run = find_run(run)
    folder = search_of(run, device)
    searched = fine_tuned(run)
    described = [each for _, each in searched]
    recipe, trials = common_recipe(described)
    table = searched_table(run, folder)
    check_table(table, folder)
    here = is_here(device, table.header)
    supernet = load_supernet(run)
    at = conditions(run, recipe, supernet)
    others = hand_designed_entrants(run, models, at, pretrained)
    networks: dict[str, nn.Module] = {each["id"]: model for model, each in searched}
    networks |= {each.id: as_deployed(each.make(seed)) for each in others}
    with locked(run):
        others.append(control_of(described, at.dataset.num_classes))
        recipes = tune_all(others, at, trials, seed, run / "tuning", talk, num_workers, ray_address)
        recipes |= {each["id"]: make_settings(Recipe, each["settings"]) for each in described}
        own = {identity: replace(at, recipe=each) for identity, each in recipes.items()}
        entrants = [*others, *(searched_entrant(each, supernet, at.dataset) for each in described)]
        trained = train_all(run, entrants, range(seed, seed + seeds), own, talk)
        rows = [network_row(each, networks, trained[each.id], own[each.id], seed) for each in entrants]
        describe_searched(rows, described, read_json(run / "run.json"))
        finish_rows(rows, latencies_of(networks, folder, table, device if not here else None, talk))
        judge_rows(rows, trained)
        rows.sort(key=lambda row: (row["kind"], row["latency_ms"]))
        write_rows(run / "compare.csv", rows, COLUMNS)
    return {"run": str(run), "models": rows, "table": scope_of(table.header)}


def control_of(described: Sequence[Mapping[str, Any]], num_classes: int) -> Entrant:
    """Enter the most accurate fine-tuned subnet once more, from scratch."""
    best = max(described, key=lambda each: each["validation_accuracy"])
    return subnet_from_scratch(f"{best['id']}{SCRATCH}", Architecture.from_dict(best["architecture"]), num_classes)


def searched_entrant(described: Mapping[str, Any], supernet: Supernet, dataset: Dataset) -> Entrant:
    """Enter a fine-tuned subnet as it was when `nas finetune` began."""
    return entrant_of(Architecture.from_dict(described["architecture"]), described["start"], supernet, dataset)


def latencies_of(
    networks: Mapping[str, nn.Module], folder: Path, table: LatencyTable, absent: str | None, talk: Talk
) -> Mapping[str, Latency]:
    """Measure whole networks, and keep what was measured; or predict them for a device that is `absent`."""
    if absent is not None:
        talk.say(f"note: {absent} is not at hand: latencies are predicted from its data sheet, none is measured")
        return predict_networks(networks, absent, table)
    measured = measure_networks(folder, networks, table, table.header["num_classes"], talk)
    write_measured(folder, measured)
    return {name: Latency(each.ms, each.ms, each.ms, "measured") for name, each in measured.items()}


def fine_tuned(run: Path) -> list[tuple[nn.Module, dict[str, Any]]]:
    """Load the fine-tuned subnets of a run, each with its model.json; `NasError` where there is none."""
    folders = sorted(path.parent for path in run.glob("models/*/model.json"))
    if not folders:
        raise NasError(f"{run} has no fine-tuned subnet to compare with", "Run: nas finetune --pick best")
    return [load_model(folder) for folder in folders]


def common_recipe(described: Sequence[Mapping[str, Any]]) -> tuple[Recipe, int]:
    """Give the recipe of all fine-tuned subnets, as it was before tuning, and the number of trials that tuned it.

    `NasError` where they differ: one comparison has one recipe.
    """
    before = [(each.get("base_settings", each["settings"]), each.get("trials", 0)) for each in described]
    other = [each["id"] for each, one in zip(described, before, strict=True) if one != before[0]]
    if other:
        raise NasError(
            f"the fine-tuned subnets {described[0]['id']} and {other[0]} were trained by different recipes",
            f"Fine-tune both alike: nas finetune --pick {described[0]['id']} --pick {other[0]}",
        )
    return make_settings(Recipe, before[0][0]), before[0][1]


def search_of(run: Path, device: str) -> Path:
    """Give the folder of the run's search for `device`; `NasError` where there is none.

    Latencies of one device never stand beside a front that was searched for another.
    """
    newest = latest_search(run)
    folder = run / "search" / device
    if not (folder / "front.json").exists():
        searched = read_json(newest / "search.json")["device"]
        raise NasError(
            f"the newest search of {run} is for {searched}, and networks would be compared on {device}",
            f"Compare there: nas compare --device {searched}; or search: nas search --device {device}",
        )
    return folder


def hand_designed_entrants(run: Path, models: Sequence[str], at: Conditions, pretrained: Path | None) -> list[Entrant]:
    """Enter presets of the run's space and timm models, each once, with the weights that they begin with."""
    presets, found = run_space(run).presets, {}
    for name in models:
        if name in presets:
            entrant = subnet_from_scratch(name, presets[name].architecture, at.dataset.num_classes)
        else:
            reference = parse_reference(name, at.dataset.resolution)
            weights = None if pretrained is None else weights_file(reference, pretrained)
            entrant = hand_designed(reference, at.dataset.num_classes, weights)
        found[entrant.id] = entrant
    return list(found.values())


def train_all(
    run: Path, entrants: Sequence[Entrant], seeds: Sequence[int], own: Mapping[str, Conditions], talk: Talk
) -> dict[str, Rows]:
    """Train every entrant with every seed under its own conditions; give its accuracies, a row per seed, by id.

    What `nas finetune` has trained with one of these seeds, or an earlier comparison, is not trained again.
    """
    dataset = own[entrants[0].id].dataset
    test, validation = dataset.test(), dataset.validation()
    known = {
        f"{described['id']}/{described['seed']}": described
        for described in map(read_json, sorted(run.glob("models/*/model.json")))
    }
    trainings = [training_of(entrant, seed, own[entrant.id]) for seed in seeds for entrant in entrants]
    left = [each for each in trainings if each.name not in known]
    known |= train_each(
        left, lambda each: judge(each, test, validation), run / "compare" / "trained.jsonl", "train to compare", talk
    )
    return {each.id: [dict(known[f"{each.id}/{seed}"]) for seed in seeds] for each in entrants}


def judge(tuned: Tuned, test: AnySplit, validation: AnySplit) -> dict[str, float]:
    """Give the accuracies of a network as it leaves: `accuracy` is that of the test split."""
    model = as_deployed(tuned.model)
    return {"accuracy": model_accuracy(model, test), "validation_accuracy": model_accuracy(model, validation)}


def as_deployed(model: nn.Module) -> nn.Module:
    """Give a network in eval mode, and a subnet as `nas finetune` writes it."""
    return (deployed(model) if isinstance(model, Subnet) else model).eval()


def network_row(
    entrant: Entrant, networks: Mapping[str, nn.Module], trained: Rows, at: Conditions, seed: int
) -> dict[str, Any]:
    """Row of a network that was trained, once per seed."""
    accuracies = [row["accuracy"] for row in trained]
    start = {"scratch": "trained from scratch", "pretrained": "trained from the weights of timm"}
    return {
        "name": entrant.id,
        "kind": "hand-designed",
        "id": entrant.id,
        "accuracy": fmean(accuracies),
        "accuracy_std": stdev(accuracies) if len(accuracies) > 1 else None,
        "num_seeds": len(accuracies),
        "validation_accuracy": fmean(row["validation_accuracy"] for row in trained),
        **size_of(entrant, networks, at.dataset.num_classes),
        **{name: described_training(entrant, at, seed)[name] for name in ("epochs", "images", "recipe")},
        "source": f"{'timm' if entrant.architecture is None else 'preset'} architecture, {start.get(entrant.start)}",
    }


def size_of(entrant: Entrant, networks: Mapping[str, nn.Module], num_classes: int) -> dict[str, int]:
    """Give parameters, MACs and input size: of a subnet by formula, of a timm model counted."""
    if entrant.architecture is not None:
        cost = architecture_cost(entrant.architecture, num_classes)
        return {"num_params": cost.num_params, "macs": cost.macs, "resolution": entrant.architecture.resolution}
    model = networks[entrant.id]
    assert isinstance(model, ReferenceModel)
    return {
        "num_params": sum(parameter.numel() for parameter in model.parameters()),
        "macs": count_macs(model, model.resolution),
        "resolution": model.resolution,
    }


def describe_searched(rows: Rows, described: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]) -> None:
    """Write into the rows of searched networks what they are, and what is known of them already."""
    own = {each["id"]: each for each in described}
    for row in rows:
        identity = row["id"].removesuffix(SCRATCH)
        if identity not in own:
            continue
        row["kind"] = "searched"
        if row["id"] != identity:
            row["name"] = f"subnet {identity} from scratch"
            row["source"] = "searched; trained from scratch by the recipe of the hand-designed models"
            continue
        begun = {
            "inherited": f"fine-tuned from a supernet trained for {manifest['recipe']['epochs']} epochs",
            "scratch": "trained from scratch",
        }
        row["name"], row["source"] = f"subnet {identity}", f"searched; {begun[own[identity]['start']]}"
        row["inherited_accuracy"] = own[identity]["inherited_accuracy"]


def count_macs(model: nn.Module, resolution: int) -> int:
    """Count the MACs of convolutions and matrix products for one image."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, resolution, resolution))
    return counter.get_total_flops() // 2


def finish_rows(rows: Rows, latencies: Mapping[str, Latency]) -> None:
    """Write each row's latency into it, with its interval where it is predicted."""
    for row in rows:
        latency = latencies[row["id"].removesuffix(SCRATCH)]
        row["latency_ms"], row["provenance"] = latency.ms, latency.provenance
        row["latency_low_ms"], row["latency_high_ms"] = latency.low_ms, latency.high_ms


def judge_rows(rows: Rows, trained: Mapping[str, Rows]) -> None:
    """Write into the row of every hand-designed model what the searched networks are beside it.

    `error_ratio`: their error at its latency over its own; `speed_up`: its latency over theirs at its accuracy.
    """
    searched = [row for row in rows if row["kind"] == "searched" and not row["id"].endswith(SCRATCH)]
    points = [(row["latency_ms"], row["accuracy"]) for row in searched]

    def seen(row: Mapping[str, Any]) -> Trained:
        accuracies = [each["accuracy"] for each in trained[row["id"]]]
        return Trained(name=row["name"], latency_ms=row["latency_ms"], accuracies=accuracies)

    ours, merit = [seen(row) for row in searched], [row["validation_accuracy"] for row in searched]
    for row in rows:
        if row["kind"] != "hand-designed":
            continue
        theirs = seen(row)
        rival = rival_of(theirs, ours, merit)
        row["rival"], row["verdict"] = rival.name, verdict(rival, theirs)
        equal_ms, equal_accuracy = accuracy_at(row["latency_ms"], points), latency_at(row["accuracy"], points)
        if equal_ms is not None and row["accuracy"] < 1:
            row["error_ratio"] = (1 - equal_ms) / (1 - row["accuracy"])
        if equal_accuracy is not None:
            row["speed_up"] = row["latency_ms"] / equal_accuracy
