"""Latencies of whole networks: measured in interleaved rounds where the device is at hand, else predicted."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import nn

from nas.errors import NasError
from nas.files import JsonObject, write_json
from nas.hardware.backends.registry import BACKENDS, clock_of
from nas.hardware.backends.session import Setting, arithmetic
from nas.hardware.device import is_foreign, this_machine
from nas.hardware.gpu import this_gpu
from nas.hardware.measurement.protocol import PROTOCOLS, Measurement, measure_interleaved
from nas.hardware.prediction.data_sheet import device_name, load_spec, spec_files
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import Latency, LatencyTable
from nas.nn.subnet import build_subnet, fold_norms
from nas.progress import Console
from nas.run.search import Search


def network_latencies(
    networks: Mapping[str, nn.Module], search: Search, table: LatencyTable, absent: str | None, console: Console
) -> Mapping[str, Latency]:
    """Measure whole networks, and keep what was measured; or predict them for a device that is `absent`."""
    if absent is not None:
        console.say(f"note: {absent} is not at hand: latencies are predicted from its data sheet, none is measured")
        return predict_networks(networks, absent, table)
    measured = measure_networks(search, networks, table, table.header.num_classes, console)
    write_measured(search, measured)
    return {name: Latency(one.ms, one.ms, one.ms, "measured") for name, one in measured.items()}


def is_here(device: str, header: TableHeader) -> bool:
    """Whether networks can be measured on the device of a table: whether it is this machine or its GPU.

    `NasError` where it is neither, and has no data sheet to predict from.
    """
    if header.device_kind == "cpu":
        here = not is_foreign(header.device_kind, header.fingerprint, this_machine())
    else:
        gpu = this_gpu()
        here = gpu is not None and gpu.fingerprint["model"] in (header.fingerprint["model"], *reported_as(device))
    if not here and device_name(device) not in spec_files():
        raise NasError(
            f"{device} is not at hand: its table was measured on {named(header.fingerprint)}, "
            f"and this is {named(this_machine().fingerprint)}",
            "Compare on that machine; or measure this one: nas profile --device NAME, then search for it",
        )
    return here


def named(fingerprint: JsonObject) -> str:
    """Name a processor; makers give different ones the same name, so its family as well."""
    family = fingerprint.get("family")
    return f"'{fingerprint.get('model')}'" + (f" (family {family})" if family else "")


def reported_as(device: str) -> tuple[str, ...]:
    """What the driver of a device with a data sheet calls it; nothing without one."""
    return load_spec(device).reported_as if device_name(device) in spec_files() else ()


def measure_networks(
    search: Search, networks: Mapping[str, nn.Module], table: LatencyTable, num_classes: int, console: Console
) -> dict[str, Measurement]:
    """Measure whole networks in interleaved rounds: the given ones and every member of the front of a search.

    Backend, dtype and batch are those of the latency table that the front was searched with.
    """
    backend, batch = table.header.backend, table.header.batch
    setting = Setting(table.header.device_kind, table.header.dtype)
    everything = dict(networks)
    for row in search.front():
        if row.id not in everything:
            everything[row.id] = fold_norms(build_subnet(row.architecture, num_classes))
    calls = {}
    with arithmetic(setting), console.task("measure networks", len(everything)) as advance:
        for done, (name, model) in enumerate(everything.items(), start=1):
            resolution = int(model.resolution)  # type: ignore[arg-type]
            shape = (batch, 3, resolution, resolution)
            calls[name] = BACKENDS[backend].prepare(copy.deepcopy(model).eval(), shape, setting)
            advance(done, "")
        protocol, clock = PROTOCOLS[setting.kind], clock_of(backend, setting)
        return measure_interleaved(calls, rounds=4, min_samples=40, protocol=protocol, clock=clock)


def predict_networks(networks: Mapping[str, nn.Module], device: str, table: LatencyTable) -> dict[str, Latency]:
    """Predict the latency of whole networks on a device that is not at hand, all in the same way."""
    from nas.hardware.prediction.predict import conditions, predict_network

    at = conditions(device, table.header.dtype, table.header.batch)
    return {
        name: predict_network(fold_norms(copy.deepcopy(model)), int(model.resolution), at)[0]  # type: ignore[arg-type]
        for name, model in networks.items()
    }


def write_measured(search: Search, measured: Mapping[str, Measurement]) -> None:
    """Keep the measurements beside the search: whole networks, in the conditions of its latency table."""
    figures = {name: {"ms": one.ms, "ms_p50": one.ms_p50, "rel_noise": one.rel_noise} for name, one in measured.items()}
    write_json(search.measured_path, figures)
