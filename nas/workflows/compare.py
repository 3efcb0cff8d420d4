"""`nas compare`: hand-designed models by the same recipe and number of images, measured by the same harness."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.config import make_settings
from nas.errors import NasError
from nas.evaluation.accuracy import model_accuracy
from nas.evaluation.data import Dataset, load_dataset
from nas.evaluation.finetune import Recipe
from nas.evaluation.reference import Reference, build_reference, parse_reference
from nas.hardware.backends import BACKENDS, clock_of
from nas.hardware.call import Setting, arithmetic
from nas.hardware.device import foreign, this_machine
from nas.hardware.device_spec import device_name, load_spec, spec_files
from nas.hardware.gpu import this_gpu
from nas.hardware.latency_table import Latency, LatencyTable
from nas.hardware.measure import PROTOCOLS, Measurement, measure_interleaved
from nas.hardware.origin import scope_of
from nas.progress import Talk
from nas.run_dir import find_run, latest_search, locked, read_json, write_json, write_rows
from nas.space.architecture import Architecture
from nas.space.bits import without_bits
from nas.supernet.subnet import build_subnet, fold_norms
from nas.workflows.finetune import described_training, give_bits, load_model, train_models
from nas.workflows.provenance import check_table
from nas.workflows.tables import searched_table

COLUMNS = (
    *("name", "kind", "id", "accuracy", "accuracy_std", "latency_ms", "num_params", "macs", "epochs", "recipe"),
    *("source", "images", "resolution", "validation_accuracy", "inherited_accuracy", "provenance"),
    *("latency_low_ms", "latency_high_ms"),
)
SCRATCH = "-scratch"  # ends the id of the control, an architecture trained without its supernet


def compare(*, run: Path | None, device: str, models: Sequence[str], seed: int, talk: Talk) -> dict[str, Any]:
    """Train hand-designed `models` as the run's fine-tuned subnets were, and measure all of them together.

    The most accurate subnet is also trained from scratch by the same recipe: what the supernet's weights add, and what
    the architecture alone is worth beside the hand-designed ones, can both be read off.
    """
    run = find_run(run)
    folder = search_of(run, device)
    folders = sorted(path.parent for path in run.glob("models/*/model.json"))
    if not folders:
        raise NasError(f"{run} has no fine-tuned subnet to compare with", "Run: nas finetune --pick best")
    searched = [load_model(folder) for folder in folders]
    best = max((described for _, described in searched), key=lambda described: described["validation_accuracy"])
    recipe = common_recipe([described for _, described in searched])
    manifest = read_json(run / "run.json")
    table = searched_table(run, folder)
    check_table(table, folder)
    here = is_here(device, table.header)
    dataset = load_dataset(manifest["data"], manifest["seed"])
    references = list(dict.fromkeys(parse_reference(name, dataset.resolution) for name in models))
    built = {str(reference): seeded(reference, dataset, seed) for reference in references}
    with locked(run):
        control = f"subnet {best['id']} from scratch"
        chosen = Architecture.from_dict(best["architecture"])
        built[control] = fresh_subnet(without_bits(chosen), dataset.num_classes, seed)
        trained = train_models(built, "train references", dataset, recipe, seed, talk)
        trained |= give_bits(trained, {control: chosen}, dataset, recipe, seed, talk)
        rows = [searched_row(described, manifest) for _, described in searched]
        rows.append(scratch_row(best, trained.pop(control), dataset, recipe, seed))
        rows += [reference_row(each, trained[str(each)], dataset, recipe, seed) for each in references]
        network: dict[str, nn.Module] = {described["id"]: model for model, described in searched}
        network.update(trained)
        if here:
            measured = measure_networks(folder, network, table, dataset.num_classes, talk)
            found = {name: Latency(each.ms, each.ms, each.ms, "measured") for name, each in measured.items()}
            write_measured(folder, measured)
        else:
            talk.say(f"note: {device} is not at hand: latencies are predicted from its data sheet, none is measured")
            found = predict_networks(network, device, table)
        finish_rows(rows, found)
        rows.sort(key=lambda row: (row["kind"], row["latency_ms"]))
        write_rows(run / "compare.csv", rows, COLUMNS)
    return {"run": str(run), "models": rows, "table": scope_of(table.header)}


def common_recipe(described: Sequence[Mapping[str, Any]]) -> Recipe:
    """Give the recipe of all fine-tuned subnets; `NasError` where they differ, as one comparison has one recipe."""
    settings = described[0]["settings"]
    other = [each["id"] for each in described if each["settings"] != settings]
    if other:
        raise NasError(
            f"the fine-tuned subnets {described[0]['id']} and {other[0]} were trained by different recipes",
            f"Fine-tune both alike: nas finetune --pick {described[0]['id']} --pick {other[0]}",
        )
    return make_settings(Recipe, settings)


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


def is_here(device: str, header: Mapping[str, Any]) -> bool:
    """Say whether networks can be measured on the device of a table: whether it is this machine or its GPU.

    `NasError` where it is neither, and has no data sheet to predict from.
    """
    if header["device_kind"] == "cpu":
        here = not foreign(header, this_machine())
    else:
        gpu = this_gpu()
        here = gpu is not None and gpu.fingerprint["model"] in (header["fingerprint"]["model"], *reported_as(device))
    if not here and device_name(device) not in spec_files():
        raise NasError(
            f"{device} is not at hand: its table was measured on '{header['fingerprint'].get('model')}'",
            "Compare on that machine; or measure this one: nas profile --device NAME, then search for it",
        )
    return here


def reported_as(device: str) -> tuple[str, ...]:
    """What the driver of a device with a data sheet calls it; nothing without one."""
    return load_spec(device).reported_as if device_name(device) in spec_files() else ()


def seeded(reference: Reference, dataset: Dataset, seed: int) -> nn.Module:
    """Build a hand-designed model with weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_reference(reference, dataset.num_classes)


def fresh_subnet(architecture: Architecture, num_classes: int, seed: int) -> nn.Module:
    """Build an architecture with weights drawn from the seed, as a hand-designed model is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_subnet(architecture, num_classes)


def searched_row(described: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Row of a fine-tuned subnet."""
    return {
        "name": f"subnet {described['id']}",
        "kind": "searched",
        **{name: described[name] for name in ("id", "accuracy", "num_params", "macs", "epochs", "images", "recipe")},
        "resolution": described["resolution"],
        "validation_accuracy": described["validation_accuracy"],
        "inherited_accuracy": described["inherited_accuracy"],
        "source": f"searched; fine-tuned from a supernet trained for {manifest['recipe']['epochs']} epochs",
        "accuracy_std": None,
    }


def scratch_row(
    described: Mapping[str, Any], trained: nn.Module, dataset: Dataset, recipe: Recipe, seed: int
) -> dict[str, Any]:
    """Row of the best subnet's architecture trained without the supernet: a control."""
    return {
        "name": f"subnet {described['id']} from scratch",
        "kind": "searched",
        "id": f"{described['id']}{SCRATCH}",
        "validation_accuracy": model_accuracy(trained, dataset.validation()),
        "accuracy": model_accuracy(trained, dataset.test()),
        **{name: described[name] for name in ("num_params", "macs", "resolution")},
        **{name: described_training(dataset, recipe, seed)[name] for name in ("epochs", "images", "recipe")},
        "source": "searched; trained from scratch by the recipe of the hand-designed models",
    }


def reference_row(
    reference: Reference, trained: nn.Module, dataset: Dataset, recipe: Recipe, seed: int
) -> dict[str, Any]:
    """Row of a hand-designed model."""
    return {
        "name": str(reference),
        "kind": "hand-designed",
        "id": str(reference),
        "validation_accuracy": model_accuracy(trained, dataset.validation()),
        "accuracy": model_accuracy(trained, dataset.test()),
        "num_params": sum(parameter.numel() for parameter in trained.parameters()),
        "macs": count_macs(trained, reference.resolution),
        "resolution": reference.resolution,
        **{name: described_training(dataset, recipe, seed)[name] for name in ("epochs", "images", "recipe")},
        "source": "timm architecture, trained from scratch",
    }


def count_macs(model: nn.Module, resolution: int) -> int:
    """Count the MACs of convolutions and matrix products for one image."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, resolution, resolution))
    return counter.get_total_flops() // 2


def measure_networks(
    folder: Path, networks: Mapping[str, nn.Module], table: LatencyTable, num_classes: int, talk: Talk
) -> dict[str, Measurement]:
    """Measure whole networks in interleaved rounds: the given ones and every member of the front in `folder`.

    Backend, dtype and batch are those of the latency table that the front was searched with.
    """
    backend, batch = table.header["backend"], table.header["batch"]
    setting = Setting(table.header["device_kind"], table.header["dtype"])
    everything = dict(networks)
    for row in read_json(folder / "front.json")["front"]:
        if row["id"] not in everything:
            subnet = build_subnet(Architecture.from_json(row["architecture"]), num_classes)
            everything[row["id"]] = fold_norms(subnet)
    calls = {}
    with arithmetic(setting), talk.task("measure networks", len(everything)) as advance:
        for done, (name, model) in enumerate(everything.items(), start=1):
            resolution = int(model.resolution)  # type: ignore[arg-type]
            shape = (batch, 3, resolution, resolution)
            calls[name] = BACKENDS[backend].prepare(copy.deepcopy(model).eval(), shape, setting)
            advance(done, "")
        protocol, clock = PROTOCOLS[setting.kind], clock_of(backend, setting)
        return measure_interleaved(calls, rounds=4, min_samples=40, protocol=protocol, clock=clock)


def predict_networks(networks: Mapping[str, nn.Module], device: str, table: LatencyTable) -> dict[str, Latency]:
    """Predict the latency of whole networks on a device that is not at hand, all in the same way."""
    from nas.hardware.transfer import conditions, predict_network

    at = conditions(device, table.header["dtype"], table.header["batch"])
    return {
        name: predict_network(fold_norms(copy.deepcopy(model)), int(model.resolution), at)[0]  # type: ignore[arg-type]
        for name, model in networks.items()
    }


def finish_rows(rows: Sequence[dict[str, Any]], latencies: Mapping[str, Latency]) -> None:
    """Write each row's latency into it, with its interval where it is predicted."""
    for row in rows:
        latency = latencies[row["id"].removesuffix(SCRATCH)]
        row["latency_ms"], row["provenance"] = latency.ms, latency.provenance
        row["latency_low_ms"], row["latency_high_ms"] = latency.low_ms, latency.high_ms


def write_measured(folder: Path, measured: Mapping[str, Measurement]) -> None:
    """Keep the measurements beside the search: whole networks, in the conditions of its latency table."""
    figures = {
        name: {"ms": each.ms, "ms_p50": each.ms_p50, "rel_noise": each.rel_noise} for name, each in measured.items()
    }
    write_json(folder / "measured.json", figures)
