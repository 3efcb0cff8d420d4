"""A latency table: what every operator of a space takes on a device, and what a whole network will take."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.hardware.measurement.correction import Correction
from nas.hardware.table.catalogue import find_table
from nas.hardware.table.header import TableHeader, broken
from nas.hardware.table.price_list import PriceList, price_list
from nas.hardware.table.table_file import Row, read_table
from nas.space.architecture import Architecture
from nas.space.availability import available
from nas.space.operator import Operator, operators
from nas.space.search_space import SearchSpace
from nas.statistics import INTERVAL_90

UNVALIDATED_SIGMA = 0.15  # where no whole network was held out


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

    header: TableHeader
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
        if table.space.hash != table.header.space_hash:
            raise broken(path, f"holds a space whose hash is {table.space.hash}, not {table.header.space_hash}")
        if not table.correction.b > 0:
            raise broken(path, "has a correction that falls with the sum")
        return table

    @cached_property
    def space(self) -> SearchSpace:
        """The search space the table was made for, as its header holds it."""
        return SearchSpace.from_dict(self.header.space_definition)

    @cached_property
    def correction(self) -> Correction:
        """How a sum of rows becomes the latency of a network."""
        return self.header.correction

    def row(self, operator: Operator) -> Row:
        """Look an operator up; `NasError` naming the nearest keys where the table lacks it."""
        known = self._known.get(operator)
        if known is None:
            known = self._known[operator] = self._find(operator.key)
        return known

    def _find(self, key: str) -> Row:
        if key not in self.rows:
            nearest = difflib.get_close_matches(key, self.rows, n=3, cutoff=0.0)
            device, space = self.header.device, self.header.space
            raise NasError(
                f"the latency table of '{device}' for {space} has no operator '{key}'; near are {', '.join(nearest)}",
                f"Measure the space you search: nas profile --device {device} --space SPACE",
            )
        return self.rows[key]

    def predict(self, architecture: Architecture) -> Latency:
        """Predict the latency of a network, with its 90 % interval; `NasError` where an operator is missing."""
        rows = [self.row(operator) for operator in operators(architecture, self.header.num_classes)]
        sum_ms = self.header.null_ms + reduce(add, (row.ms for row in rows))  # sum() adds otherwise from 3.12 on
        ms = self.correction.apply(sum_ms, len(rows))
        provenance = weakest_provenance(row.provenance for row in rows)
        sigma = self.header.sigma_sys
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
        return self.correction.apply(self.header.null_ms + sums, counts)

    def searchable(self, space: SearchSpace) -> SearchSpace:
        """Return the part of a space that this table can price: integer bit-widths without rows are no choices here."""
        return available(space, lambda operator: operator.key in self.rows)

    def over(self, space: SearchSpace) -> LatencyTable:
        """Return the same table for the genomes of a part of its space."""
        return replace(self, header=self.header.of(space), _known={})

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


def check_space(table: LatencyTable, space: SearchSpace) -> None:
    """Raise `NasError` where the table was made for another space, or another version of it."""
    if table.header.space_hash != space.hash:
        header = table.header
        raise NasError(
            f"the latency table of '{header.device}' was made for {header.space} {header.space_hash[:8]}, "
            f"the space here is {space.name} {space.hash[:8]}",
            f"Measure the space of the run: nas profile --device {header.device} --run RUN",
        )
