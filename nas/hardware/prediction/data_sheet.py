"""What a device's data sheet says: the peaks that a network was never measured to reach there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from nas.errors import NasError, did_you_mean
from nas.files import JsonObject
from nas.shipped import table_folders
from nas.yaml_reader import Reader, compose, text_of

SPEC_FILE = "device.yaml"
DTYPES = ("fp32", "tf32", "fp16", "bf16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A GPU by its data sheet. Peaks are dense, at boost clock; `fp32` is that of the vector units.

    `reported_as` are the names that its driver gives it, by which it is known when it is here.
    `launch_us` is the least time of a kernel inside a CUDA graph, `host_launch_us` what the host needs to submit one.
    `unverified` names the figures for which no first-hand source was seen.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    reported_as: tuple[str, ...]
    peak_tflops: Mapping[str, float]
    bandwidth_gb_s: float
    l2_mb: float
    sms: int
    boost_ghz: float
    power_w: float
    launch_us: float
    host_launch_us: float
    sources: tuple[str, ...]
    unverified: tuple[str, ...]

    def peak(self, dtype: str) -> float:
        """Return the peak TFLOP/s of a dtype; `NasError` where the device does not compute in it."""
        if dtype not in self.peak_tflops:
            raise NasError(f"{self.name} does not compute in {dtype}", did_you_mean(dtype, self.peak_tflops))
        return self.peak_tflops[dtype]


POSITIVE_FIELDS = ("bandwidth_gb_s", "l2_mb", "sms", "boost_ghz", "power_w", "launch_us", "host_launch_us")
TEXTS = ("aliases", "reported_as", "sources", "unverified")
FIELDS = tuple(field.name for field in fields(DeviceSpec) if field.name != "name")


def spec_files() -> dict[str, Path]:
    """Map every device that has a data sheet to its file; the folder here comes before the shipped one."""
    sheets: dict[str, Path] = {}
    for root in table_folders():
        for path in sorted(root.glob(f"*/{SPEC_FILE}")):
            sheets.setdefault(path.parent.name, path)
    return sheets


def device_name(name: str) -> str:
    """Return the device that a name or alias stands for, `a100-sxm4-80gb` for `a100`; any other name is its own."""
    files = spec_files()
    if name in files:
        return name
    specs = (read_spec(path) for path in files.values())
    return next((spec.name for spec in specs if name in spec.aliases), name)


def device_names() -> list[str]:
    """List every name that a data sheet answers to."""
    files = spec_files()
    return [*files, *(alias for path in files.values() for alias in read_spec(path).aliases)]


def load_spec(name: str) -> DeviceSpec:
    """Read the data sheet of a device, by its name or an alias; `NasError` where there is none."""
    files, known = spec_files(), device_name(name)
    if known not in files:
        raise NasError(f"there is no data sheet of a device '{name}'", did_you_mean(name, device_names()))
    return read_spec(files[known])


def read_spec(path: Path) -> DeviceSpec:
    """Read and check a data sheet; `NasError` names the line at fault."""
    reader, root = Reader(str(path)), compose(text_of(path), str(path))
    parts = reader.mapping(
        root, FIELDS, required=[name for name in FIELDS if name != "reported_as"], what="a data sheet"
    )
    peaks = reader.mapping(parts["peak_tflops"], DTYPES, required=("fp32",), what="peak_tflops")
    values: JsonObject = {
        "name": path.parent.name,
        "title": reader.text(parts["title"], "title"),
        "peak_tflops": {dtype: float(reader.one(peaks[dtype], above_zero, dtype)) for dtype in peaks},
    }
    values |= {name: reader.one(parts[name], above_zero, name) for name in POSITIVE_FIELDS}
    values |= {name: texts(reader, parts[name], name) if name in parts else () for name in TEXTS}
    if not values["sources"]:
        reader.fail(parts["sources"], "a data sheet needs a source", "Name the page or document")
    known = {*POSITIVE_FIELDS, *DTYPES}
    strange = [name for name in values["unverified"] if name not in known]
    if strange:
        reader.fail(parts["unverified"], f"there is no figure '{strange[0]}'", did_you_mean(strange[0], known))
    return DeviceSpec(**values)


def texts(reader: Reader, node: yaml.Node, what: str) -> tuple[str, ...]:
    """Read a list of texts, which may be empty."""
    values = reader.value(node)
    if not isinstance(values, list):
        reader.fail(node, f"{what} must be a list")
    return tuple(str(value) for value in values)


def above_zero(value: Any) -> str | None:
    """Accept a positive, finite number."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    return None if good else "must be a positive number"
