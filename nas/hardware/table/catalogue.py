"""Which latency tables exist, and which of them a device's name stands for."""

from __future__ import annotations

from pathlib import Path

from nas.errors import NasError, did_you_mean
from nas.files import JsonObject
from nas.hardware.device import check_device_name, is_foreign, known_devices, this_machine
from nas.hardware.prediction.data_sheet import device_name, device_names, spec_files
from nas.hardware.table.header import TableHeader
from nas.hardware.table.table_file import read_header
from nas.shipped import table_folders

# What a device's name alone stands for, the first that exists: (backend, dtype, batch).
DEFAULTS = (("cudagraph", "bf16", 1), ("onnxruntime", "fp32", 1), ("eager", "fp32", 1))
DEFAULT_SPACE = "scan-mix-tiny"


def find_table(name_or_path: str, wanted: JsonObject) -> Path:
    """Find the header file of a device's table that is as `wanted`, or check the given path."""
    path = Path(name_or_path)
    if path.suffix in (".json", ".csv"):
        if not path.with_suffix(".json").is_file():
            raise NasError(f"there is no latency table {path}", "Give the path of its .json or .csv file")
        tables = [(path.with_suffix(".json"), read_header(path.with_suffix(".json")))]
    else:
        tables = tables_of(name_or_path)
    fitting = [
        (path, header) for path, header in tables if all(getattr(header, name) == wanted[name] for name in wanted)
    ]
    if not fitting:
        wishes = ", ".join(f"{name} {value}" for name, value in wanted.items())
        there = "; ".join(title(header) for _, header in tables)
        raise NasError(
            f"'{name_or_path}' has no latency table for {wishes}: there is {there}",
            f"Drop the option, or measure: nas profile --device {tables[0][1].device}{as_flags(wanted)}",
        )
    return min(fitting, key=lambda pair: preference(pair[1]))[0]


def tables_of(device: str) -> list[tuple[Path, TableHeader]]:
    """List the header files of a device's tables, by its name or an alias; `NasError` where it has none."""
    tables = tables_here(device)
    if tables:
        return tables
    if device_name(device) in spec_files():
        raise NasError(
            f"the device '{device}' has a data sheet but no latency table",
            f"nas search --device {device} predicts one; to measure it, on the device: nas profile --device {device}",
        )
    known = {*known_devices(), "cpu", *device_names()}
    raise NasError(
        f"no latency table for device '{device}'. {did_you_mean(device, known)}".rstrip("."),
        f"To measure this one: nas profile --device {device}",
    )


def tables_here(device: str) -> list[tuple[Path, TableHeader]]:
    """List the header files of a device's tables, by its name or an alias; [] where it has none.

    `cpu` is this CPU: first what was measured under that name, then the tables of CPUs of this kind, then of others.
    """
    if device == "cpu":
        others = [pair for name in known_devices() if name.startswith("cpu-") for pair in headers_of(name)]
        machine = this_machine()
        return headers_of(device) + sorted(
            others, key=lambda pair: is_foreign(pair[1].device_kind, pair[1].fingerprint, machine)
        )
    return headers_of(device) or headers_of(device_name(device))


def headers_of(folder: str) -> list[tuple[Path, TableHeader]]:
    """Read the headers in a folder of tables; of two of one name, that under the current directory."""
    paths: dict[str, Path] = {}
    for root in table_folders():
        for path in sorted((root / check_device_name(folder)).glob("*.json")):
            paths.setdefault(path.name, path)
    return [(path, read_header(path)) for path in paths.values()]


def as_flags(wanted: JsonObject) -> str:
    """Write settings as flags of the command line."""
    return "".join(f" --{name} {value}" for name, value in wanted.items())


def preference(header: TableHeader) -> tuple[bool, bool, int, bool, bool, str]:
    """Sort tables: measured before predicted, a CPU's own before one shipped for its kind (`cpu-...`), then the default
    backend, dtype and batch, then the default space. Of two for one space that with integer rows comes first.
    """
    dtype = "fp32" if header.dtype == "int8" else header.dtype  # the same float rows, and integer ones
    setting = (header.backend, dtype, header.batch)
    rank = DEFAULTS.index(setting) if setting in DEFAULTS else len(DEFAULTS)
    shipped, other = header.device.startswith("cpu-"), header.space != DEFAULT_SPACE
    floats = header.dtype != "int8"
    return header.provenance == "predicted", shipped, rank, other, floats, str(header.space)


def title(header: TableHeader) -> str:
    """Name a table in words: `cpu onnxruntime fp32 batch 1, scan-mix-tiny`."""
    return f"{header.device} {header.backend} {header.dtype} batch {header.batch}, {header.space}"
