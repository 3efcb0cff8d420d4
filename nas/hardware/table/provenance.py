"""Where a latency comes from, in words: what people read beside every figure, and what they are warned of."""

from __future__ import annotations

from nas.hardware.device import Device, is_foreign
from nas.hardware.table.header import TableScope
from nas.hardware.table.latency_table import Latency, LatencyTable
from nas.units import format_milliseconds


def describe(latency: Latency, scope: TableScope) -> str:
    """Return a latency with its origin and interval in words.

    `0.84 ms (table of measured blocks, cpu onnxruntime fp32 batch 1; 90 % interval 0.80-0.88 ms)`
    """
    if latency.provenance == "predicted":
        return describe_predicted(latency, f"{scope.device}, {scope.dtype}, batch {scope.batch}")
    blocks = {"measured": "measured blocks", "interpolated": "partly interpolated blocks"}[latency.provenance]
    return f"{format_milliseconds(latency.ms)} (table of {blocks}, {scope}; {interval_in_words(latency)})"


def describe_predicted(latency: Latency, conditions: str) -> str:
    """Write a predicted latency with what it is predicted for, such as `a100-sxm4-80gb, bf16, batch 1`."""
    origin = f"predicted for {conditions}; {interval_in_words(latency)}; never measured"
    return f"{format_milliseconds(latency.ms)} ({origin})"


def interval_in_words(latency: Latency) -> str:
    """Write `90 % interval 0.80-0.88 ms`, with one unit where it serves both ends."""
    low, high = format_milliseconds(latency.low_ms), format_milliseconds(latency.high_ms)
    return f"90 % interval {low.split()[0] if low.split()[1] == high.split()[1] else low}-{high}"


def warnings_of(table: LatencyTable, machine: Device) -> list[str]:
    """Return what a user of a table has to know: whether it is predicted, of another processor, or failed a check."""
    header = table.header
    warnings = []
    if header.provenance == "predicted":
        warnings.append(f"no latency of {header.device} is measured: all are predicted from its data sheet")
    if header.provenance == "interpolated":
        rows = sum(row.provenance == "interpolated" for row in table.rows.values())
        warnings.append(f"{rows} of the {len(table.rows)} rows of {header.device} are interpolated, not measured")
    if is_foreign(header.device_kind, header.fingerprint, machine):
        model = header.fingerprint.get("model")
        warnings.append(f"the table of {header.device} was measured on another processor ({model}) than this one")
    if not header.trustworthy:
        mape = header.validation["mape"]
        warnings.append(f"the table of {header.device} failed its validation (MAPE {mape:.0%}): rough orientation only")
    return warnings
