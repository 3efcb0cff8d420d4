"""The model card of an exported network: what it is, how good and how fast, made of what, and how to run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.units import format_milliseconds

Row = Mapping[str, Any]
RUN_IT = {
    "safetensors": "`python model.py image.png`, or `from model import load` (torch and numpy only)",
    "onnx": '`onnxruntime.InferenceSession("{file}")`, input `images`, output `logits`',
    "pt2": '`torch.export.load("{file}").module()(images)`',
    "openvino": '`openvino.Core().compile_model("{file}", "CPU")(images)`',
}
CARD = """---
library_name: pytorch
pipeline_tag: image-classification
tags: [nas]
---

# Network {id}

An image classifier of {num_classes} classes for images of {resolution} x {resolution} pixels, found by an architecture
search and trained on `{data}`.

## Accuracy and size

- {accuracy:.2%} on the test split; {validation_accuracy:.2%} on validation
- {num_params:,} parameters, {macs:,} multiply-accumulates an image

## Latency

{latency_lines}

## Training

{images:,} images ({epochs} epochs), {start} weights at the start. {recipe}. Seed {seed}.

## Files

{file_lines}

Input: float32 [batch, 3, {resolution}, {resolution}], channels red, green, blue; values in [0, 1], less the mean
{mean}, over the deviation {std}.

## Licence

`model.py`: Apache-2.0. The weights are yours, within the terms of the data they were trained on.
"""


def write_card(described: Row) -> str:
    """Write README.md of a network from its model.json."""
    return CARD.format(
        **described,
        **{name: list(described["preprocessing"][name]) for name in ("mean", "std")},
        latency_lines="\n".join(map(latency_line, described["latencies"])) or "Not searched for any device.",
        file_lines="\n".join(file_line(name, row) for name, row in described["files"].items()),
    )


def latency_line(row: Row) -> str:
    """Say how long a network takes on a device, and where the figure comes from."""
    origin = row["provenance"] if row["provenance"] == "measured" else f"{row['provenance']}; never measured as a whole"
    setting = f"{row['device']}, {row['backend']} {row['dtype']}, batch {row['batch']}"
    return f"- {setting}: {format_milliseconds(row['latency_ms'])} ({origin})"


def file_line(name: str, row: Row) -> str:
    """Say how a file is run, and how far it is from the trained network."""
    parity = row["parity"]
    return (
        f"- `{name}` ({row['dtype']}, {row['bytes']:,} bytes): {RUN_IT[row['format']].format(file=name)}. "
        f"In a fresh process with {row['runtime']}, on {parity['samples']:,} test images: greatest relative difference "
        f"{parity['max_relative_difference']:.1e}, same class {parity['top1_agreement']:.2%}"
        + ("" if parity["passed"] else " - **this check failed**")
    )
