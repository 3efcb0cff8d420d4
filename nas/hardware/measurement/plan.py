"""The plan of a measurement: the setting of the table, the whole networks that judge it, how much is measured."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass

import torch

from nas.errors import NasError
from nas.files import JsonObject
from nas.hardware.backends.registry import BACKENDS, backend_version, check_backend
from nas.hardware.backends.session import Setting
from nas.hardware.device import Device
from nas.hardware.measurement.protocol import PROTOCOLS
from nas.hardware.table.header import SCHEMA_VERSION
from nas.space.search_space import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure and how.

    `sample` is how many rows to measure about, the others being interpolated; 0 is all. `networks` whole networks judge
    the table, of which `n_fit` first correct it.
    """

    backend: str = "onnxruntime"
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 1
    networks: int = 24
    n_fit: int = 10
    rounds: int = 3
    samples: int = 20
    seed: int = 0
    sample: int = 0

    def __post_init__(self) -> None:
        if self.threads != 1:
            raise NasError(f"{self.threads} threads are not measured", "Use 1: CPU time on one thread can be compared")
        if min(self.batch, self.rounds, self.samples) < 1 or 0 < self.networks < self.n_fit + 2 or self.sample < 0:
            raise NasError("the plan measures too little", f"Give at least {self.n_fit + 2} networks, or 0 for none")

    def stem(self, kind: str) -> str:
        """Begin the name of a table's files on a kind of device; on a GPU no threads are counted."""
        return f"{self.backend}-{self.dtype}-b{self.batch}" + (f"-t{self.threads}" if kind == "cpu" else "")


def check_plan(plan: Plan, device: Device) -> Setting:
    """Return the setting of a plan on a device; `NasError` where its backend cannot compute so there."""
    setting = Setting(device.kind, plan.dtype)
    check_backend(plan.backend, setting)
    return setting


def settings_of(space: SearchSpace, device: Device, plan: Plan) -> JsonObject:
    """Return what a measurement depends on; one that was interrupted goes on under the same settings only."""
    cpu = device.kind == "cpu"
    own_threads = BACKENDS[plan.backend].threads_of_its_own
    cpu_clock = f"cpu_time of the {'process' if own_threads else 'calling thread'}"
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
            "clock_source": cpu_clock if cpu else "wall time between moments at which the GPU had finished",
            "blocks": "between two 1x1 convolutions, less those",
            **asdict(PROTOCOLS[device.kind]),
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
