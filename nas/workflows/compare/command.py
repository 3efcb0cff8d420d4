"""`nas compare`: hand-designed models by the same recipe and number of images, measured by the same harness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import nn

from nas.config import make_settings
from nas.data.datasets import Dataset
from nas.data.splits import AnySplit
from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.export.description import ModelDescription, TrainingDescription
from nas.files import JsonObject, read_json, write_csv
from nas.hardware.device import check_device_name
from nas.hardware.table.header import TableScope
from nas.nn.subnet import Subnet
from nas.nn.timm_model import parse_reference, weights_file
from nas.progress import Console
from nas.report.compared_network import COLUMNS, ComparedNetwork
from nas.run.run import Run
from nas.run.search import Search
from nas.run.staleness import check_table
from nas.supernet.supernet import Supernet
from nas.training.network import Recipe
from nas.workflows.compare.comparison_table import (
    SCRATCH,
    Entry,
    SeedAccuracies,
    comparison_table,
    origin_of,
    size_of,
    training_facts,
)
from nas.workflows.compare.network_latencies import is_here, network_latencies
from nas.workflows.finetune import candidate_of, conditions, deployed, load_model
from nas.workflows.network_training.candidates import (
    Candidate,
    Conditions,
    Tuned,
    hand_designed,
    subnet_from_scratch,
    training_of,
)
from nas.workflows.network_training.jobs import train_each
from nas.workflows.network_training.tuning import tune_all
from nas.workflows.requests import CompareRequest
from nas.workflows.tables import searched_table


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOutcome:
    """The networks that `nas compare` wrote to compare.csv, and what the latencies in it hold for."""

    run: Run
    networks: Sequence[ComparedNetwork]
    table: TableScope

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        return {"run": str(self.run), "models": list(map(known_columns, self.networks)), "table": asdict(self.table)}


def compare(request: CompareRequest, console: Console) -> CompareOutcome:
    """Train models as the run's fine-tuned subnets were, all of them with the same seeds, and measure them together.

    A model is a timm model or a preset of the run's space. Where the subnets' recipes were tuned, all others' are, by
    as many trials. The most accurate subnet is also trained from scratch: what the supernet's weights add, and what the
    architecture is worth without them, can both be read off. Killed, it goes on where it was.
    """
    run, device, seed = Run.find(request.run), request.device, request.seed
    search = search_of(run, device)
    searched = fine_tuned(run)
    described = [description for _, description in searched]
    recipe, trials = common_recipe(described)
    table = searched_table(run, search)
    check_table(table, search)
    absent = None if is_here(device, table.header) else device
    supernet = run.supernet()
    at = conditions(run, recipe, supernet)
    others = hand_designed_candidates(run, request.models, at, request.pretrained)
    networks: dict[str, nn.Module] = {description.id: model for model, description in searched}
    networks |= {candidate.id: as_deployed(candidate.make(seed)) for candidate in others}
    with run.locked():
        others.append(scratch_baseline(described, at.dataset.num_classes))
        recipes = tune_all(others, at, trials, seed, run.tuning_path, console, request.workers)
        recipes |= {subnet.id: make_settings(Recipe, subnet.training.settings) for subnet in described}
        own = {identity: replace(at, recipe=tuned) for identity, tuned in recipes.items()}
        candidates = [*others, *(searched_candidate(subnet, supernet, at.dataset) for subnet in described)]
        trained = train_all(run, candidates, range(seed, seed + request.seeds), own, console)
        latencies = network_latencies(networks, search, table, absent, console)
        subnets = {subnet.id: subnet for subnet in described}
        supernet_epochs = run.manifest.recipe["epochs"]
        entries = [
            Entry(
                id=candidate.id,
                origin=origin_of(candidate, subnets, supernet_epochs),
                size=size_of(candidate, networks, at.dataset.num_classes),
                training=training_facts(candidate, own[candidate.id], seed),
                seeds=trained[candidate.id],
                latency=latencies[candidate.id.removesuffix(SCRATCH)],
            )
            for candidate in candidates
        ]
        compared = comparison_table(entries, device, at.dataset.num_classes)
        write_csv(run.comparison_path, [network.to_row() for network in compared], COLUMNS)
    return CompareOutcome(run=run, networks=compared, table=table.header.scope)


def known_columns(network: ComparedNetwork) -> JsonObject:
    """Return the columns of a network that are known, for `--json`; one seed has no deviation."""
    return {name: value for name, value in network.to_row().items() if value is not None or name == "accuracy_std"}


def scratch_baseline(described: Sequence[ModelDescription], num_classes: int) -> Candidate:
    """Return the most accurate fine-tuned subnet once more, from scratch."""
    best = max(described, key=lambda subnet: subnet.validation_accuracy)
    return subnet_from_scratch(f"{best.id}{SCRATCH}", best.architecture, num_classes)


def searched_candidate(described: ModelDescription, supernet: Supernet, dataset: Dataset) -> Candidate:
    """Return a fine-tuned subnet as it was when `nas finetune` began."""
    return candidate_of(described.architecture, described.training.start, supernet, dataset)


def fine_tuned(run: Run) -> list[tuple[Subnet, ModelDescription]]:
    """Load the fine-tuned subnets of a run, each with its model.json; `NasError` where there is none."""
    folders = run.models()
    if not folders:
        raise NasError(f"{run} has no fine-tuned subnet to compare with", "Run: nas finetune --pick best")
    return [load_model(folder) for folder in folders]


def common_recipe(described: Sequence[ModelDescription]) -> tuple[Recipe, int]:
    """Return the recipe of all fine-tuned subnets, as it was before tuning, and the number of trials that tuned it.

    `NasError` where they differ: one comparison has one recipe.
    """
    before = [base_recipe(subnet.training) for subnet in described]
    other = [subnet.id for subnet, recipe in zip(described, before, strict=True) if recipe != before[0]]
    if other:
        raise NasError(
            f"the fine-tuned subnets {described[0].id} and {other[0]} were trained by different recipes",
            f"Fine-tune both alike: nas finetune --pick {described[0].id} --pick {other[0]}",
        )
    return before[0]


def base_recipe(training: TrainingDescription) -> tuple[Recipe, int]:
    """Return the recipe of a training as it was before tuning, and the number of trials that tuned it."""
    return make_settings(Recipe, training.base_settings or training.settings), training.trials or 0


def search_of(run: Run, device: str) -> Search:
    """Return the run's search for `device`; `NasError` where there is none.

    Latencies of one device never stand beside a front that was searched for another.
    """
    newest, search = run.newest_search(), run.search(check_device_name(device))
    if not search.is_finished:
        searched = newest.record().device
        raise NasError(
            f"the newest search of {run} is for {searched}, and networks would be compared on {device}",
            f"Compare there: nas compare --device {searched}; or search: nas search --device {device}",
        )
    return search


def hand_designed_candidates(
    run: Run, models: Sequence[str], at: Conditions, pretrained: Path | None
) -> list[Candidate]:
    """Return presets of the run's space and timm models, each once, with the weights that they begin with."""
    presets, candidates = run.space().presets, {}
    for name in models:
        if name in presets:
            candidate = subnet_from_scratch(name, presets[name].architecture, at.dataset.num_classes)
        else:
            reference = parse_reference(name, at.dataset.resolution)
            weights = None if pretrained is None else weights_file(reference, pretrained)
            candidate = hand_designed(reference, at.dataset.num_classes, weights)
        candidates[candidate.id] = candidate
    return list(candidates.values())


def train_all(
    run: Run, candidates: Sequence[Candidate], seeds: Sequence[int], own: Mapping[str, Conditions], console: Console
) -> dict[str, list[SeedAccuracies]]:
    """Train every candidate with every seed under its own conditions; return its accuracies, one per seed, by id.

    What `nas finetune` has trained with one of these seeds, or an earlier comparison, is not trained again.
    """
    dataset = own[candidates[0].id].dataset
    test, validation = dataset.test(), dataset.validation()
    known: dict[str, JsonObject] = {
        f"{described['id']}/{described['seed']}": described
        for described in (read_json(folder / "model.json") for folder in run.models())
    }
    jobs = [training_of(candidate, seed, own[candidate.id]) for seed in seeds for candidate in candidates]
    left = [job for job in jobs if job.name not in known]
    known |= train_each(
        left, lambda tuned: judge(tuned, test, validation), run.compared_path, "train to compare", console
    )
    return {network.id: [seed_accuracies(known[f"{network.id}/{seed}"]) for seed in seeds] for network in candidates}


def seed_accuracies(row: JsonObject) -> SeedAccuracies:
    """Return what one training reached, from a model.json or a line of trained.jsonl."""
    return SeedAccuracies(test=row["accuracy"], validation=row["validation_accuracy"])


def judge(tuned: Tuned, test: AnySplit, validation: AnySplit) -> dict[str, float]:
    """Return the accuracies of a network as it leaves: `accuracy` is that of the test split."""
    model = as_deployed(tuned.model)
    return {"accuracy": model_accuracy(model, test), "validation_accuracy": model_accuracy(model, validation)}


def as_deployed(model: nn.Module) -> nn.Module:
    """Return a network in eval mode, and a subnet as `nas finetune` writes it."""
    return (deployed(model) if isinstance(model, Subnet) else model).eval()


def compare_lines(outcome: CompareOutcome, device: str) -> list[str]:
    """Return in words how accurate and fast each network is, and what the searched ones are beside the others."""
    lines = [
        f"{network.name:<36} {network.kind:<14} {network.accuracy:.2%} test  {network.latency_ms:.3f} ms "
        f"{network.provenance}{'' if network.provenance == 'measured' else ', never measured'}"
        for network in outcome.networks
    ]
    table = outcome.table
    lines.append(f"latencies: whole networks, {device}, {table.backend} {table.dtype} batch {table.batch}")
    judged = [network for network in outcome.networks if network.verdict]
    return lines + [f"{one.counterpart}: {one.verdict}" if one.counterpart else str(one.verdict) for one in judged]
