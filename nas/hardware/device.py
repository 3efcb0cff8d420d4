"""The machine a latency belongs to, and how its processor is told from others."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from nas.errors import NasError
from nas.files import JsonObject
from nas.shipped import table_folders

TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve")
CPUINFO = Path("/proc/cpuinfo")
DEVICE_NAME = re.compile(r"\w[\w.+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Device:
    """A machine to run networks on. The fingerprint tells it from other kinds, without serials or host names."""

    name: str
    kind: str
    fingerprint: JsonObject


def this_machine() -> Device:
    """Describe the CPU this process runs on."""
    return Device("cpu", "cpu", read_cpu(CPUINFO.read_text() if CPUINFO.exists() else ""))


def read_cpu(cpuinfo: str) -> JsonObject:
    """Read model, family, telling flags and usable cores out of the text of Linux's `/proc/cpuinfo`."""
    fields = fields_of(cpuinfo)
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    model = fields.get("model name") or platform.processor() or platform.machine()
    family = [fields[name] for name in ("cpu family", "model", "stepping") if name in fields]
    return {
        "model": model,
        "family": "-".join(family),
        "machine": platform.machine(),
        "flags": [flag for flag in TELLING_FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def fields_of(cpuinfo: str) -> dict[str, str]:
    """Read what the text of `/proc/cpuinfo` says of the first processor."""
    pairs: list[tuple[str, str]] = re.findall(r"^([^\n:]+?)\s*:\s*(.*)$", cpuinfo.split("\n\n")[0], flags=re.MULTILINE)
    return dict(pairs)


def has_vnni(cpuinfo: str) -> bool:
    """Whether an x86 processor adds four 8-bit products at once in 32 bits, by the text of `/proc/cpuinfo`."""
    return bool({"avx512_vnni", "avx_vnni"} & {*fields_of(cpuinfo).get("flags", "").split()})


def check_device_name(name: str) -> str:
    """Return the name, of which folders are made; `NasError` for one that would lead out of its folder."""
    if not DEVICE_NAME.fullmatch(name):
        raise NasError(f"'{name[:50]}' is no name of a device", "Use letters, digits and -_.+, such as my-phone")
    return name


def known_devices() -> tuple[str, ...]:
    """List the devices that have a latency table, by name."""
    return tuple(sorted({header.parent.name for root in table_folders() for header in root.glob("*/*.json")}))


def is_foreign(device_kind: str, fingerprint: JsonObject, machine: Device) -> bool:
    """Whether a CPU table comes from another kind of CPU than `machine`; the number of cores does not matter."""
    if device_kind != "cpu":
        return False
    return any(fingerprint.get(name) != machine.fingerprint.get(name) for name in ("model", "family", "flags"))
