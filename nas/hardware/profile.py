"""Profiling: measure every operator of a space on a device, beside whole networks that judge the sum; resumable.

A block measured alone pays at both ends for tensor layouts that its neighbours in a network would have shared. So it is
measured within a frame, between two 1x1 convolutions, and what the frame takes without it is subtracted. On 64 networks
of `scan-mix-tiny` this halved the error of the sum against blocks measured alone (held out 1.5 % instead of 2.9 %,
Kendall tau 0.988 instead of 0.960). Stem, downsampling and head are measured alone, less an empty call.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.errors import NasError, did_you_mean
from nas.hardware.backends import BACKENDS, Shape, backend_version, one_thread
from nas.hardware.device import Device
from nas.hardware.journal import Journal
from nas.hardware.latency_table import UNVALIDATED_SIGMA, LatencyTable
from nas.hardware.measure import Clock, Measurement, one_round, summarise
from nas.hardware.table_file import SCHEMA_VERSION, Row, write_table
from nas.hardware.validation import MeasuredNetwork, validate
from nas.space.architecture import Architecture
from nas.space.cost import architecture_cost, macs
from nas.space.kinds import KINDS
from nas.space.operator import Operator, operators
from nas.space.search_space import SearchSpace
from nas.supernet.subnet import build_operator, build_subnet, fold_norms

NULL = "null"
MIN_MS = 1e-6  # what a row says whose operator could not be told from an empty call
PROTOCOL: dict[str, Any] = {"min_sample_ms": 0.5, "warmup": 3}
UNCERTAIN = 0.03  # a minimum that no second round comes this near to is measured again
POOL = 400  # sampled networks, of which the validation takes a stratified part
Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
Target = tuple[Callable[[], nn.Module], Shape]  # what to measure: makes the module; its input


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure and how: the setting of the table, the whole networks that judge it, the protocol."""

    backend: str = "onnxruntime"
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1
    networks: int = 24
    n_fit: int = 10
    rounds: int = 3
    samples: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise NasError(f"there is no backend '{self.backend}'", did_you_mean(self.backend, BACKENDS))
        if (self.dtype, self.threads) != ("fp32", 1):
            raise NasError(f"a CPU is not measured in {self.dtype} on {self.threads} threads", "Use fp32 and 1 thread")
        if min(self.batch, self.rounds, self.samples) < 1 or 0 < self.networks < self.n_fit + 2:
            raise NasError("the plan measures too little", f"Give at least {self.n_fit + 2} networks, or 0 for none")


def profile(
    space: SearchSpace,
    device: Device,
    plan: Plan,
    path: Path,
    *,
    resume: bool = False,
    progress: Progress = lambda what, done, total: None,
    build: Callable[[Operator], nn.Module] = build_operator,
    build_network: Callable[[Architecture, int], nn.Module] = build_subnet,
    clock: Clock = time.thread_time,
) -> LatencyTable:
    """Measure every operator of `space` on this machine and write `path`.csv and `path`.json.

    Every measurement is appended to `path`.partial.jsonl at once; with `resume` those already there are kept. Whole
    networks are measured in the same rounds as the operators and, for the noise, again when those are over.
    """
    networks = validation_networks(space, plan.networks, np.random.default_rng(plan.seed))
    together, again = targets(space, networks, plan.batch, build, build_network)
    header = settings(space, device, plan)
    load_start = os.getloadavg()
    with Journal.open(path.with_name(f"{path.name}.partial.jsonl"), header, resume) as journal, one_thread():
        measure_into(journal, together, plan, clock, partial(progress, "operators and networks"))
        measure_into(journal, again, plan, clock, partial(progress, "networks again"))
        measured = summarise(journal.visits)
        rows = {operator.key: row_of(operator, measured, plan.batch) for operator in space.operators()}
        header |= {"null_ms": measured[NULL].ms, "load_start": load_start, "load_end": os.getloadavg()}
        header |= {"date": datetime.now(UTC).isoformat("T", "seconds")}
        header |= judgement(networks, space, rows, measured, plan)
        write_table(header, rows, path)
        journal.remove()
    return LatencyTable.load(path.with_name(f"{path.name}.json"))


def targets(
    space: SearchSpace,
    networks: tuple[Architecture, ...],
    batch: int,
    build: Callable[[Operator], nn.Module],
    build_network: Callable[[Architecture, int], nn.Module],
) -> tuple[dict[str, Target], dict[str, Target]]:
    """List by name what is measured together, and what is measured again when that is done."""
    together: dict[str, Target] = {NULL: (nn.Identity, (batch, 1))}
    for operator in space.operators():
        make: Callable[[], nn.Module] = partial(build, operator)
        shape: Shape = (batch, operator.in_channels, operator.grid, operator.grid)
        if operator.kind in KINDS:
            together[reference(operator)] = (partial(in_frame, operator.in_channels), shape)
            make = partial(in_frame, operator.in_channels, make)
        together[operator.key] = (make, shape)
    again: dict[str, Target] = {}
    for network in networks:
        whole = partial(build_network, network, space.num_classes)
        shape = (batch, 3, network.resolution, network.resolution)
        together[f"network {network.id}"] = again[f"again {network.id}"] = (whole, shape)
    return together, again


def validation_networks(space: SearchSpace, count: int, rng: np.random.Generator) -> tuple[Architecture, ...]:
    """Choose distinct networks: the smallest, the largest, and sampled ones at evenly spaced ranks of MACs."""
    if count == 0:
        return ()

    def cost(architecture: Architecture) -> tuple[int, str]:
        return architecture_cost(architecture, space.num_classes).macs, architecture.id

    ends = (space.smallest(), space.largest())
    pool = sorted({space.sample(rng) for _ in range(POOL)} - set(ends), key=cost)
    ranks = np.linspace(0, len(pool) - 1, min(count - 2, len(pool))).round().astype(int)
    return (*ends, *(pool[rank] for rank in ranks))


def reference(operator: Operator) -> str:
    """Name what is subtracted from an operator's measurement: its frame, or an empty call."""
    return f"frame {operator.in_channels} {operator.grid}" if operator.kind in KINDS else NULL


def in_frame(channels: int, make: Callable[[], nn.Module] = nn.Identity) -> nn.Module:
    """Put a module between two 1x1 convolutions of `channels`."""
    return nn.Sequential(nn.Conv2d(channels, channels, 1), make(), nn.Conv2d(channels, channels, 1))


def measure_into(
    journal: Journal, targets: dict[str, Target], plan: Plan, clock: Clock, progress: Callable[[int, int], None]
) -> None:
    """Measure what the journal lacks of `targets`, interleaved in rounds, each visit written down at once.

    After the rounds of the plan, targets that are still uncertain are visited again, for as many rounds at most.
    """
    calls: dict[str, Callable[[], object]] = {}
    done, total = 0, len(targets) * (1 + plan.rounds)
    for round_ in range(2 * plan.rounds):
        names = list(targets) if round_ < plan.rounds else uncertain(journal, targets, round_)
        missing = [name for name in names if (round_, name) not in journal.done]
        for name in missing:
            if name not in calls:
                calls[name] = session(*targets[name], plan)
                done += 1
                progress(done, total)
        wanted = {name: calls[name] for name in missing}
        for visit in one_round(wanted, round_, samples=math.ceil(plan.samples / plan.rounds), clock=clock, **PROTOCOL):
            journal.append(visit)
            done = min(done + 1, total)
            progress(done, total)
    progress(total, total)


def session(make: Callable[[], nn.Module], shape: Shape, plan: Plan) -> Callable[[], object]:
    """Make a module, with its norms folded as it is deployed, ready to run; leaves PyTorch's random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        return BACKENDS[plan.backend](fold_norms(make()), shape)


def uncertain(journal: Journal, targets: dict[str, Target], round_: int) -> list[str]:
    """Name the targets whose minimum no second round has confirmed before `round_`."""
    before = summarise(visit for visit in journal.visits if visit.name in targets and visit.round < round_)
    return [name for name, seen in before.items() if seen.sigma_rel > UNCERTAIN]


def row_of(operator: Operator, measured: dict[str, Measurement], batch: int) -> Row:
    """Turn an operator's measurement into its row: what it adds to its reference."""
    seen, without = measured[operator.key], measured[reference(operator)]
    ms = max(seen.ms - without.ms, MIN_MS)
    ms_p50 = max(seen.ms_p50 - without.ms_p50, ms)
    return Row(
        ms=ms,
        ms_p50=ms_p50,
        ms_p95=max(seen.ms_p95 - without.ms_p95, ms_p50),
        n_samples=seen.n_samples,
        n_rounds=seen.n_rounds,
        rel_noise=seen.rel_noise,
        macs=macs(operator) * batch,
        provenance="measured",
        sigma_rel=math.hypot(seen.sigma_rel * seen.ms, without.sigma_rel * without.ms) / ms,
    )


def judgement(
    networks: tuple[Architecture, ...],
    space: SearchSpace,
    rows: dict[str, Row],
    measured: dict[str, Measurement],
    plan: Plan,
) -> dict[str, Any]:
    """Compare sums of rows with the measured networks: the correction, the validation, the systematic uncertainty."""
    seen = []
    for network in networks:
        placed = operators(network, space.num_classes)
        seen.append(
            MeasuredNetwork(
                id=network.id,
                macs=architecture_cost(network, space.num_classes).macs * plan.batch,
                num_operators=len(placed),
                sum_ms=measured[NULL].ms + sum(rows[operator.key].ms for operator in placed),
                measured_ms=measured[f"network {network.id}"].ms,
                rerun_ms=measured[f"again {network.id}"].ms,
            )
        )
    correction, validation = validate(seen, plan.n_fit)
    sigma_sys = max(validation["rms"], validation["noise_mape"]) if networks else UNVALIDATED_SIGMA
    return {"correction": asdict(correction), "validation": validation, "sigma_sys": sigma_sys}


def settings(space: SearchSpace, device: Device, plan: Plan) -> dict[str, Any]:
    """The part of a table's header that is known before measuring; a measurement resumes under the same one only."""
    return {
        "schema_version": SCHEMA_VERSION,
        "unit": "ms",
        "per": "batch",
        "provenance": "measured",
        "device": device.name,
        "device_kind": device.kind,
        "fingerprint": device.fingerprint,
        "backend": plan.backend,
        "dtype": plan.dtype,
        "batch": plan.batch,
        "threads": plan.threads,
        "versions": {
            plan.backend: backend_version(plan.backend),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "protocol": {
            "clock_source": "cpu_time of the calling thread",
            "statistic": "min",
            "blocks": "between two 1x1 convolutions, less those",
            **PROTOCOL,
            "rounds": plan.rounds,
            "samples": plan.samples,
            "networks": plan.networks,
            "n_fit": plan.n_fit,
            "seed": plan.seed,
        },
        "space": space.name,
        "space_hash": space.hash,
        "space_definition": space.definition(),
        "num_classes": space.num_classes,
        "resolutions": sorted(space.resolutions),
    }
