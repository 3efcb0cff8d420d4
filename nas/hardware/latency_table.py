"""A latency table: what every operator of a space takes on a device, and what a whole network will take."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError, did_you_mean
from nas.hardware.correction import Correction
from nas.hardware.device import Device, known_devices, table_roots, this_machine
from nas.hardware.device_spec import device_name, spec_files
from nas.hardware.price_list import PriceList, price_list
from nas.hardware.table_file import Row, broken, read_header, read_table
from nas.space.architecture import Architecture
from nas.space.bits import available
from nas.space.operator import Operator, operators
from nas.space.search_space import SearchSpace
from nas.units import format_milliseconds

INTERVAL_90 = 1.64
UNVALIDATED_SIGMA = 0.15  # where no whole network was held out
# What a device's name alone stands for, the first that exists: (backend, dtype, batch).
DEFAULTS = (("cudagraph", "bf16", 1), ("onnxruntime", "fp32", 1), ("eager", "fp32", 1))
DEFAULT_SPACE = "scan-mix-tiny"


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency in milliseconds per batch, its 90 % interval, and where it comes from.

    `provenance` is `measured` (a sum of rows that were all measured), `interpolated` or `predicted`.
    """

    ms: float
    low_ms: float
    high_ms: float
    provenance: str


@dataclass(frozen=True)
class LatencyTable:
    """Measured or predicted milliseconds of every operator of one space on one device."""

    header: dict[str, Any]
    rows: dict[str, Row]
    _known: dict[Operator, Row] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        space: str | None = None,
        backend: str | None = None,
        dtype: str | None = None,
        batch: int | None = None,
    ) -> LatencyTable:
        """Read the table of a device (`cpu`) or the one at a path, checking all of it; `NasError` at the first fault.

        What is not given comes from the device's default table.
        """
        wanted = {"space": space, "backend": backend, "dtype": dtype, "batch": batch}
        path = find_table(str(name_or_path), {name: value for name, value in wanted.items() if value is not None})
        table = cls(*read_table(path))
        if table.space.hash != table.header["space_hash"]:
            raise broken(path, f"holds a space whose hash is {table.space.hash}, not {table.header['space_hash']}")
        if not table.correction.b > 0:
            raise broken(path, "has a correction that falls with the sum")
        return table

    @cached_property
    def space(self) -> SearchSpace:
        """The search space the table was made for, as its header holds it."""
        return SearchSpace.from_dict(self.header["space_definition"])

    @cached_property
    def correction(self) -> Correction:
        """How a sum of rows becomes the latency of a network."""
        return Correction.from_dict(self.header["correction"])

    def row(self, operator: Operator) -> Row:
        """Look an operator up; `NasError` naming the nearest keys where the table lacks it."""
        known = self._known.get(operator)
        if known is None:
            known = self._known[operator] = self._find(operator.key)
        return known

    def _find(self, key: str) -> Row:
        if key not in self.rows:
            nearest = difflib.get_close_matches(key, self.rows, n=3, cutoff=0.0)
            device, space = self.header["device"], self.header["space"]
            raise NasError(
                f"the latency table of '{device}' for {space} has no operator '{key}'; near are {', '.join(nearest)}",
                f"Measure the space you search: nas profile --device {device} --space SPACE",
            )
        return self.rows[key]

    def predict(self, architecture: Architecture) -> Latency:
        """Predict the latency of a network, with its 90 % interval; `NasError` where an operator is missing."""
        rows = [self.row(operator) for operator in operators(architecture, self.header["num_classes"])]
        sum_ms = self.header["null_ms"] + reduce(add, (row.ms for row in rows))  # sum() adds otherwise from 3.12 on
        ms = self.correction.apply(sum_ms, len(rows))
        provenance = weakest_provenance(row.provenance for row in rows)
        sigma = self.header["sigma_sys"]
        if provenance != "predicted":  # there all rows share one error, which does not shrink in their sum
            sigma = math.hypot(sigma, math.sqrt(sum((row.sigma_rel * row.ms) ** 2 for row in rows)) / sum_ms)
        factor = math.exp(INTERVAL_90 * math.log1p(sigma))
        return Latency(ms, ms / factor, ms * factor, provenance)

    def predict_many(self, genomes: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Predict the latency of many genomes [n, genes] of the table's space in milliseconds [n].

        Equals `predict` of each to the last bit: the same additions in the same order. `NasError` where an operator is
        missing or a gene is out of range.
        """
        sums, counts = self._price_list.sums(genomes)
        missing = np.flatnonzero(np.isnan(sums))
        if len(missing):
            self.predict(self.space.decode(genomes[missing[0]]))  # raises, and names the operator
        return self.correction.apply(self.header["null_ms"] + sums, counts)

    def searchable(self, space: SearchSpace) -> SearchSpace:
        """Give the part of a space that this table can price: integer bit-widths without rows are no choices here."""
        return available(space, lambda operator: operator.key in self.rows)

    def over(self, space: SearchSpace) -> LatencyTable:
        """Give the same table for the genomes of a part of its space."""
        described = {"space_definition": space.to_dict(), "space_hash": space.hash}
        return replace(self, header={**self.header, **described}, _known={})

    @cached_property
    def _price_list(self) -> PriceList:
        """The rows as arrays over the genes of the space."""

        def ms_of(operator: Operator) -> float:
            row = self.rows.get(operator.key)
            return math.nan if row is None else row.ms

        return price_list(self.space, ms_of)


def weakest_provenance(provenances: Iterable[str]) -> str:
    """Name the least certain of several origins."""
    order = ("measured", "interpolated", "predicted")
    return max(provenances, key=order.index)


def find_table(name_or_path: str, wanted: dict[str, Any]) -> Path:
    """Find the header file of a device's table that is as `wanted`, or check the given path."""
    path = Path(name_or_path)
    if path.suffix in (".json", ".csv"):
        if not path.with_suffix(".json").is_file():
            raise NasError(f"there is no latency table {path}", "Give the path of its .json or .csv file")
        found = [(path.with_suffix(".json"), read_header(path.with_suffix(".json")))]
    else:
        found = tables_of(name_or_path)
    fitting = [(path, header) for path, header in found if all(header[name] == wanted[name] for name in wanted)]
    if not fitting:
        asked = ", ".join(f"{name} {value}" for name, value in wanted.items())
        there = "; ".join(title(header) for _, header in found)
        raise NasError(
            f"'{name_or_path}' has no latency table for {asked}: there is {there}",
            f"Drop the option, or measure: nas profile --device {found[0][1]['device']}{as_flags(wanted)}",
        )
    return min(fitting, key=lambda pair: preference(pair[1]))[0]


def tables_of(device: str) -> list[tuple[Path, dict[str, Any]]]:
    """List the header files of a device's tables, by its name or an alias; `NasError` where it has none."""
    found = tables_here(device)
    if found:
        return found
    if device_name(device) in spec_files():
        raise NasError(
            f"the device '{device}' has a data sheet but no latency table",
            f"nas search --device {device} predicts one; to measure it, on the device: nas profile --device {device}",
        )
    known = (*known_devices(), "cpu")
    raise NasError(
        f"no latency table for device '{device}'. {did_you_mean(device, known)}".rstrip("."),
        f"To measure this one: nas profile --device {device}",
    )


def tables_here(device: str) -> list[tuple[Path, dict[str, Any]]]:
    """List the header files of a device's tables, by its name or an alias; [] where it has none.

    `cpu` is this CPU: first what was measured under that name, then the tables of CPUs of this kind, then of others.
    """
    if device == "cpu":
        others = [pair for name in known_devices() if name.startswith("cpu-") for pair in headers_of(name)]
        machine = this_machine()
        return headers_of(device) + sorted(others, key=lambda pair: is_foreign(pair[1], machine))
    return headers_of(device) or headers_of(device_name(device))


def headers_of(folder: str) -> list[tuple[Path, dict[str, Any]]]:
    """Read the headers in a folder of tables; of two of one name, that under the current directory."""
    found: dict[str, Path] = {}
    for root in table_roots():
        for path in sorted((root / folder).glob("*.json")):
            found.setdefault(path.name, path)
    return [(path, read_header(path)) for path in found.values()]


def as_flags(wanted: dict[str, Any]) -> str:
    """Write settings as flags of the command line."""
    return "".join(f" --{name} {value}" for name, value in wanted.items())


def preference(header: dict[str, Any]) -> tuple[bool, bool, int, bool, bool, str]:
    """Sort tables: measured before predicted, a CPU's own before one shipped for its kind (`cpu-...`), then the default
    backend, dtype and batch, then the default space. Of two for one space that with integer rows comes first.
    """
    dtype = "fp32" if header["dtype"] == "int8" else header["dtype"]  # the same float rows, and integer ones
    setting = (header["backend"], dtype, header["batch"])
    rank = DEFAULTS.index(setting) if setting in DEFAULTS else len(DEFAULTS)
    shipped, other = header["device"].startswith("cpu-"), header["space"] != DEFAULT_SPACE
    floats = header["dtype"] != "int8"
    return header["provenance"] == "predicted", shipped, rank, other, floats, str(header["space"])


def title(header: dict[str, Any]) -> str:
    """Name a table in words: `cpu onnxruntime fp32 batch 1, scan-mix-tiny`."""
    return f"{header['device']} {header['backend']} {header['dtype']} batch {header['batch']}, {header['space']}"


def describe(latency: Latency, header: dict[str, Any]) -> str:
    """Write a latency with its origin and interval, as people are to read it.

    `0.84 ms (table of measured blocks, cpu onnxruntime fp32 batch 1; 90 % interval 0.80-0.88 ms)`
    """
    scope = f"{header['device']} {header['backend']} {header['dtype']} batch {header['batch']}"
    interval = interval_in_words(latency)
    if latency.provenance == "predicted":
        return describe_predicted(latency, f"{header['device']}, {header['dtype']}, batch {header['batch']}")
    origin = {
        "measured": f"table of measured blocks, {scope}; {interval}",
        "interpolated": f"table of partly interpolated blocks, {scope}; {interval}",
    }[latency.provenance]
    return f"{format_milliseconds(latency.ms)} ({origin})"


SCOPE = ("device", "backend", "dtype", "batch", "provenance")


def scope_of(header: dict[str, Any]) -> dict[str, Any]:
    """Give what a table's figures hold for: device, backend, dtype, batch, and where they come from."""
    return {name: header[name] for name in SCOPE}


def described_row(row: Mapping[str, Any], scope: dict[str, Any]) -> str:
    """Write the latency of a recorded evaluation with its origin and interval; `scope` is that of the table."""
    latency = Latency(row["latency_ms"], row["latency_low_ms"], row["latency_high_ms"], row["provenance"])
    return describe(latency, scope)


def describe_predicted(latency: Latency, conditions: str) -> str:
    """Write a predicted latency with what it is predicted for, such as `a100-sxm4-80gb, bf16, batch 1`."""
    origin = f"predicted for {conditions}; {interval_in_words(latency)}; never measured"
    return f"{format_milliseconds(latency.ms)} ({origin})"


def interval_in_words(latency: Latency) -> str:
    """Write `90 % interval 0.80-0.88 ms`, with one unit where it serves both ends."""
    low, high = format_milliseconds(latency.low_ms), format_milliseconds(latency.high_ms)
    return f"90 % interval {low.split()[0] if low.split()[1] == high.split()[1] else low}-{high}"


def foreign(table: LatencyTable, machine: Device) -> bool:
    """Say whether a CPU table comes from another kind of CPU than `machine`; the number of cores does not matter."""
    return is_foreign(table.header, machine)


def is_foreign(header: Mapping[str, Any], machine: Device) -> bool:
    """Say so from the header of the table."""
    if header["device_kind"] != "cpu":
        return False
    there = header["fingerprint"]
    return any(there.get(name) != machine.fingerprint.get(name) for name in ("model", "family", "flags"))


def warnings_of(table: LatencyTable, machine: Device) -> list[str]:
    """Say what a user of a table has to know: that it is predicted, of another processor, or failed its validation."""
    header = table.header
    found = []
    if header["provenance"] == "predicted":
        found.append(f"no latency of {header['device']} is measured: all are predicted from its data sheet")
    if header["provenance"] == "interpolated":
        rows = sum(row.provenance == "interpolated" for row in table.rows.values())
        found.append(f"{rows} of the {len(table.rows)} rows of {header['device']} are interpolated, not measured")
    if foreign(table, machine):
        model = header["fingerprint"].get("model")
        found.append(f"the table of {header['device']} was measured on another processor ({model}) than this one")
    if not header["validation"].get("trustworthy", True):
        mape = header["validation"]["mape"]
        found.append(f"the table of {header['device']} failed its validation (MAPE {mape:.0%}): rough orientation only")
    return found


def check_space(table: LatencyTable, space: SearchSpace) -> None:
    """Raise `NasError` where the table was made for another space, or another version of it."""
    if table.header["space_hash"] != space.hash:
        header = table.header
        raise NasError(
            f"the latency table of '{header['device']}' was made for {header['space']} {header['space_hash'][:8]}, "
            f"the space here is {space.name} {space.hash[:8]}",
            f"Measure the space of the run: nas profile --device {header['device']} --run RUN",
        )
