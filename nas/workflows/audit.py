"""`nas audit`: how far a run's numbers can be trusted: the order of inherited accuracies, and the latency table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from nas.config import make_settings
from nas.data.datasets import Dataset
from nas.evaluation.ranking import rank_agreement
from nas.files import JsonObject, write_json
from nas.hardware.table.catalogue import tables_here
from nas.hardware.table.latency_table import LatencyTable
from nas.progress import Console
from nas.run.run import Run
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import draw_pool, spread
from nas.training.network import Recipe
from nas.workflows.network_training.standalone import train_standalone
from nas.workflows.requests import AuditRequest
from nas.workflows.search.inherited_accuracy import InheritedAccuracy
from nas.workflows.tables import searched_table, table_of

LATENCY_FIGURES = ("mape", "bias", "kendall_tau", "noise_mape", "macs_mape", "n")
DEFAULT_DEVICE = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOutcome:
    """What `nas audit` wrote to audit.json; `failed` names the checks that came out negative."""

    run: Run
    content: JsonObject

    @property
    def failed(self) -> list[str]:
        """Return the failed checks in words."""
        failed: list[str] = self.content["failed"]
        return failed

    def to_json(self) -> JsonObject:
        """Return what --json prints."""
        return {"run": str(self.run), **self.content}


def audit(request: AuditRequest, console: Console) -> AuditOutcome:
    """Train networks stand-alone, compare them with what they inherit, and write RUN/audit.json.

    Networks are spread over latency, or over MACs where there is no table. Each is trained from scratch on as many
    images as the supernet saw, by the recipe of `nas finetune`, once per seed. Killed, an audit that is started again
    goes on.
    """
    run, seeds = Run.find(request.run), request.seeds
    space, recipe, dataset = audited_training(run, request)
    table = audited_table(request.device, run, space, console)
    chosen = choose_networks(space, table, request)
    with run.locked():
        judge, inherited = InheritedAccuracy(run), []
        with console.task("inherit", len(chosen)) as advance:
            for architecture in chosen:
                inherited.append(judge.accuracy(architecture))
                advance(len(inherited), "")
        reached = train_standalone(list(chosen), dataset, recipe, seeds, run.audited_path, console)
        networks = [
            network_row(architecture, name, accuracy, by_seed, space, table)
            for (architecture, name), accuracy, by_seed in zip(chosen.items(), inherited, reached, strict=True)
        ]
        ranking = ranking_of(networks, request.seed)
        content = {
            "ranking": ranking,
            "latency": latency_of(table),
            "failed": failed_checks(ranking, table),
            "networks": networks,
            "epochs": recipe.epochs,
            "seeds": seeds,
            "recipe": recipe.describe(),
            "weights_sha256": run.weights_digest(),
        }
        write_json(run.audit_path, content)
    return AuditOutcome(run=run, content=content)


def network_row(
    architecture: Architecture,
    preset: str | None,
    inherited: float,
    reached: Sequence[float],
    space: SearchSpace,
    table: LatencyTable | None,
) -> JsonObject:
    """Return what audit.json says of a network; `reached` are its stand-alone accuracies by seed."""
    return {
        "id": architecture.id,
        "preset": preset,
        "inherited": inherited,
        "alone": float(np.mean(reached)),
        "alone_by_seed": reached,
        "macs": architecture_cost(architecture, space.num_classes).macs,
        "latency_ms": None if table is None else table.predict(architecture).ms,
        "architecture": architecture.to_json(),
    }


def audited_training(run: Run, request: AuditRequest) -> tuple[SearchSpace, Recipe, Dataset]:
    """Return the space of a run and how its networks are trained stand-alone: on as many images as the supernet saw."""
    manifest = run.manifest
    as_supernet = {name: manifest.recipe[name] for name in ("epochs", "batch_size")}
    recipe = make_settings(Recipe, {**as_supernet, **request.settings}, request.overrides)
    return run.space(), recipe, run.dataset()


def audited_table(device: str | None, run: Run, space: SearchSpace, console: Console) -> LatencyTable | None:
    """Load the table of `device`; where none is given, that of the newest search, else this CPU's if there is one."""
    if device is not None:
        return table_of(device, space, console)
    if run.searches():
        return searched_table(run, run.newest_search())
    if any(header.space_hash == space.hash for _, header in tables_here(DEFAULT_DEVICE)):
        return table_of(DEFAULT_DEVICE, space, console)
    console.say(
        f"note: there is no latency table of {space.name}: networks are spread over MACs, no latency is audited"
    )
    return None


def choose_networks(
    space: SearchSpace, table: LatencyTable | None, request: AuditRequest
) -> dict[Architecture, str | None]:
    """Choose the networks to be trained, each with its name where it is a preset."""
    pool = draw_pool(space, request.subnets, np.random.default_rng([request.seed, 6]))
    costs = [
        architecture_cost(network, space.num_classes).macs if table is None else table.predict(network).ms
        for network in pool
    ]
    chosen: dict[Architecture, str | None] = dict.fromkeys(spread(pool, costs, request.subnets))
    if request.presets:
        chosen |= {without_bits(preset.architecture): name for name, preset in space.presets.items()}
    return chosen


def ranking_of(networks: Sequence[JsonObject], seed: int) -> JsonObject:
    """Compare the orders.

    `ceiling` is how far two trainings alone agree, which bounds what a supernet can reach; `macs` how far the order of
    costs does, which needs no supernet at all.
    """
    inherited, alone, macs = ([float(row[name]) for row in networks] for name in ("inherited", "alone", "macs"))
    agreement = asdict(rank_agreement(inherited, alone, seed))
    agreement["mean_gap"] = float(np.mean(alone) - np.mean(inherited))
    by_seed = np.array([row["alone_by_seed"] for row in networks])
    ceiling = (
        asdict(rank_agreement(by_seed[:, 0].tolist(), by_seed[:, 1].tolist(), seed)) if by_seed.shape[1] > 1 else None
    )
    return {**agreement, "ceiling": ceiling, "macs": asdict(rank_agreement(macs, alone, seed))}


def latency_of(table: LatencyTable | None) -> JsonObject:
    """Return what whole networks say of the table; None where they were never measured."""
    if table is None:
        return {**dict.fromkeys(LATENCY_FIGURES), "n": 0, "device": None, "provenance": None}
    validation = table.header.validation
    figures = {name: validation.get(name) for name in LATENCY_FIGURES}
    return {**figures, "n": validation.get("n", 0), **asdict(table.header.scope)}


def failed_checks(ranking: JsonObject, table: LatencyTable | None) -> list[str]:
    """Name what came out negative: an order that may be chance, a table that failed its validation."""
    failed = []
    if ranking["low"] <= 0:
        failed.append(
            f"Kendall tau may be 0 (95 % interval from {ranking['low']:.2f} to {ranking['high']:.2f}, "
            f"{ranking['n']} networks): audit more networks, or train the supernet longer"
        )
    if table is not None and not table.header.trustworthy:
        device = table.header.device
        failed.append(f"the latency table of {device} failed its validation: nas profile --device {device}")
    return failed


def audit_lines(found: JsonObject) -> list[str]:
    """Return in lines what an audit found."""
    ranking, latency = found["ranking"], found["latency"]
    lines = [
        f"inherited against trained alone, {ranking['n']} networks, {found['epochs']} epochs each: Kendall tau "
        f"{in_interval(ranking, 'kendall_tau', '')}, Spearman {in_interval(ranking, 'spearman', 'spearman_')}; "
        f"alone {100 * ranking['mean_gap']:+.1f} points on average",
        f"the order of their MACs against trained alone: Kendall tau {in_interval(ranking['macs'], 'kendall_tau', '')}",
    ]
    if ranking["ceiling"]:
        lines.append(
            f"noise ceiling, alone against alone: Kendall tau {in_interval(ranking['ceiling'], 'kendall_tau', '')}"
        )
    if latency["mape"] is not None:
        lines.append(
            f"latency table of {latency['device']} against {latency['n']} whole networks: MAPE {latency['mape']:.1%}, "
            f"bias {latency['bias']:+.1%}, Kendall tau {latency['kendall_tau']:.2f} (rerun noise "
            f"{latency['noise_mape']:.1%}; MACs alone: MAPE {latency['macs_mape']:.1%})"
        )
    elif latency["device"] is not None:
        lines.append(f"latency table of {latency['device']}: {latency['provenance']}, no whole network was measured")
    return lines


def in_interval(figures: JsonObject, name: str, prefix: str) -> str:
    """Write a correlation with its interval."""
    return f"{figures[name]:.2f} [{figures[f'{prefix}low']:.2f}, {figures[f'{prefix}high']:.2f}]"
