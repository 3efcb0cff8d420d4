"""`nas audit`: how far a run's numbers can be trusted: the order of inherited accuracies, and the latency table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nas.config import make_settings
from nas.data.datasets import Dataset, load_dataset
from nas.evaluation.ranking import rank_agreement
from nas.files import locked, read_json, write_json
from nas.hardware.table.catalogue import tables_here
from nas.hardware.table.latency_table import LatencyTable
from nas.progress import Console
from nas.run.folder import find_run, latest_search
from nas.run.space import run_space
from nas.run.staleness import digest
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.space.cost import architecture_cost
from nas.space.search_space import SearchSpace
from nas.space.strata import draw_pool, spread
from nas.training.network import Recipe
from nas.workflows.network_training.standalone import train_standalone
from nas.workflows.search.inherited_accuracy import InheritedAccuracy
from nas.workflows.tables import searched_table, table_of

LATENCY_FIGURES = ("mape", "bias", "kendall_tau", "noise_mape", "macs_mape", "n")
DEFAULT_DEVICE = "cpu"


def audit(
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
) -> dict[str, Any]:
    """Train `subnets` networks alone and compare; write RUN/audit.json and give what it says.

    Networks are spread over latency, or over MACs where there is no table. Each is trained from scratch on as many
    images as the supernet saw, by the recipe of `nas finetune`, once per each of `seeds`; killed, an audit that is
    started again goes on. `failed` names the checks that came out negative.
    """
    run = find_run(run)
    space, recipe, dataset = audited_training(run, settings, overrides)
    table = audited_table(device, run, space, console)
    chosen = choose_networks(space, table, subnets, presets, seed)
    with locked(run):
        judge, inherited = InheritedAccuracy(run), []
        with console.task("inherit", len(chosen)) as advance:
            for each in chosen:
                inherited.append(judge.accuracy(each))
                advance(len(inherited), "")
        alone = train_standalone(list(chosen), dataset, recipe, seeds, run / "audit" / "alone.jsonl", console)
        networks = [
            {
                "id": each.id,
                "preset": name,
                "inherited": accuracy,
                "alone": float(np.mean(reached)),
                "alone_by_seed": reached,
                "macs": architecture_cost(each, space.num_classes).macs,
                "latency_ms": None if table is None else table.predict(each).ms,
                "architecture": each.to_json(),
            }
            for (each, name), accuracy, reached in zip(chosen.items(), inherited, alone, strict=True)
        ]
        found: dict[str, Any] = {"ranking": ranking_of(networks, seed), "latency": latency_of(table)}
        found |= {"failed": failed_checks(found["ranking"], table), "networks": networks}
        found |= {"epochs": recipe.epochs, "seeds": seeds, "recipe": recipe.describe()}
        found["weights_sha256"] = digest(run / "supernet.safetensors")
        write_json(run / "audit.json", found)
    return {"run": str(run), **found}


def audited_training(
    run: Path, settings: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[SearchSpace, Recipe, Dataset]:
    """Give the space of a run, and how networks of it are trained alone: on as many images as the supernet saw."""
    manifest = read_json(run / "run.json")
    as_supernet = {name: manifest["recipe"][name] for name in ("epochs", "batch_size")}
    recipe = make_settings(Recipe, {**as_supernet, **settings}, overrides)
    return run_space(run), recipe, load_dataset(manifest["data"], manifest["seed"])


def audited_table(device: str | None, run: Path, space: SearchSpace, console: Console) -> LatencyTable | None:
    """Load the table of `device`; where none is given, that of the newest search, else this CPU's if there is one."""
    if device is not None:
        return table_of(device, space, console)
    if any(run.glob("search/*/front.json")):
        return searched_table(run, latest_search(run))
    if any(header["space_hash"] == space.hash for _, header in tables_here(DEFAULT_DEVICE)):
        return table_of(DEFAULT_DEVICE, space, console)
    console.say(
        f"note: there is no latency table of {space.name}: networks are spread over MACs, no latency is audited"
    )
    return None


def choose_networks(
    space: SearchSpace, table: LatencyTable | None, count: int, presets: bool, seed: int
) -> dict[Architecture, str | None]:
    """Choose the networks to be trained, each with its name where it is a preset."""
    pool = draw_pool(space, count, np.random.default_rng([seed, 6]))
    costs = [
        architecture_cost(each, space.num_classes).macs if table is None else table.predict(each).ms for each in pool
    ]
    chosen: dict[Architecture, str | None] = dict.fromkeys(spread(pool, costs, count))
    if presets:
        chosen |= {without_bits(preset.architecture): name for name, preset in space.presets.items()}
    return chosen


def ranking_of(networks: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Compare the orders.

    `ceiling` is how far two trainings alone agree, which bounds what a supernet can reach; `macs` how far the order of
    costs does, which needs no supernet at all.
    """
    inherited, alone, macs = ([float(row[name]) for row in networks] for name in ("inherited", "alone", "macs"))
    found = asdict(rank_agreement(inherited, alone, seed))
    found["mean_gap"] = float(np.mean(alone) - np.mean(inherited))
    by_seed = np.array([row["alone_by_seed"] for row in networks])
    ceiling = (
        asdict(rank_agreement(by_seed[:, 0].tolist(), by_seed[:, 1].tolist(), seed)) if by_seed.shape[1] > 1 else None
    )
    return {**found, "ceiling": ceiling, "macs": asdict(rank_agreement(macs, alone, seed))}


def latency_of(table: LatencyTable | None) -> dict[str, Any]:
    """Give what whole networks say of the table; None where they were never measured."""
    if table is None:
        return {**dict.fromkeys(LATENCY_FIGURES), "n": 0, "device": None, "provenance": None}
    validation = table.header.get("validation") or {}
    figures = {name: validation.get(name) for name in LATENCY_FIGURES}
    scope = {name: table.header[name] for name in ("device", "backend", "dtype", "batch", "provenance")}
    return {**figures, "n": validation.get("n", 0), **scope}


def failed_checks(ranking: Mapping[str, Any], table: LatencyTable | None) -> list[str]:
    """Name what came out negative: an order that may be chance, a table that failed its validation."""
    failed = []
    if ranking["low"] <= 0:
        failed.append(
            f"Kendall tau may be 0 (95 % interval from {ranking['low']:.2f} to {ranking['high']:.2f}, "
            f"{ranking['n']} networks): audit more networks, or train the supernet longer"
        )
    if table is not None and not (table.header.get("validation") or {}).get("trustworthy", True):
        device = table.header["device"]
        failed.append(f"the latency table of {device} failed its validation: nas profile --device {device}")
    return failed


def audit_lines(found: Mapping[str, Any]) -> list[str]:
    """Say in lines what an audit found."""
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


def in_interval(figures: Mapping[str, Any], name: str, prefix: str) -> str:
    """Write a correlation with its interval."""
    return f"{figures[name]:.2f} [{figures[f'{prefix}low']:.2f}, {figures[f'{prefix}high']:.2f}]"
