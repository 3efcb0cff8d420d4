"""Where a latency comes from, in words: what people read beside every figure, and what they are warned of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.hardware.device import Device, foreign
from nas.hardware.table.latency_table import Latency, LatencyTable
from nas.units import format_milliseconds

SCOPE = ("device", "backend", "dtype", "batch", "provenance")


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


def warnings_of(table: LatencyTable, machine: Device) -> list[str]:
    """Say what a user of a table has to know: that it is predicted, of another processor, or failed its validation."""
    header = table.header
    found = []
    if header["provenance"] == "predicted":
        found.append(f"no latency of {header['device']} is measured: all are predicted from its data sheet")
    if header["provenance"] == "interpolated":
        rows = sum(row.provenance == "interpolated" for row in table.rows.values())
        found.append(f"{rows} of the {len(table.rows)} rows of {header['device']} are interpolated, not measured")
    if foreign(header, machine):
        model = header["fingerprint"].get("model")
        found.append(f"the table of {header['device']} was measured on another processor ({model}) than this one")
    if not header["validation"].get("trustworthy", True):
        mape = header["validation"]["mape"]
        found.append(f"the table of {header['device']} failed its validation (MAPE {mape:.0%}): rough orientation only")
    return found
