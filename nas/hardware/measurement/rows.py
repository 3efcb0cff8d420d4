"""How a row comes about: what was measured of an operator, less what stood around it in the measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nas.hardware.measurement.protocol import Measurement
from nas.hardware.table.table_file import Row
from nas.space.cost import macs
from nas.space.operator import Operator

MIN_MS = 1e-6  # what a row says whose operator could not be told from what stood around it


@dataclass(frozen=True, slots=True)
class Difference:
    """The name of what was measured, and shares of other measurements that are taken off it."""

    seen: str
    less: tuple[tuple[float, str], ...]


def row_of(operator: Operator, needed: Difference, measured: Mapping[str, Measurement], batch: int) -> Row:
    """Turn measurements into the row of an operator; the errors of all of them add up in squares."""
    seen, less = measured[needed.seen], [(share, measured[name]) for share, name in needed.less]

    def rest(figure: str) -> float:
        return float(getattr(seen, figure) - sum(share * getattr(part, figure) for share, part in less))

    ms = max(rest("ms"), MIN_MS)
    ms_p50 = max(rest("ms_p50"), ms)
    errors_ms = [seen.sigma_rel * seen.ms, *(share * part.sigma_rel * part.ms for share, part in less)]
    return Row(
        ms=ms,
        ms_p50=ms_p50,
        ms_p95=max(rest("ms_p95"), ms_p50),
        n_samples=seen.n_samples,
        n_rounds=seen.n_rounds,
        rel_noise=seen.rel_noise,
        macs=macs(operator) * batch,
        provenance="measured",
        sigma_rel=math.hypot(*errors_ms) / ms,
    )
