"""The model card of an exported network: what it is, how good and how fast, made of what, and how to run it."""

from __future__ import annotations

from nas.export.description import DeviceLatency, ExportedDescription, ExportedFile
from nas.units import format_milliseconds

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


def write_card(described: ExportedDescription) -> str:
    """Return README.md of a network."""
    model, training, preprocessing = described.model, described.model.training, described.preprocessing
    return CARD.format(
        id=model.id,
        num_classes=model.num_classes,
        resolution=model.resolution,
        data=training.data,
        accuracy=model.accuracy,
        validation_accuracy=model.validation_accuracy,
        num_params=model.num_params,
        macs=model.macs,
        latency_lines="\n".join(map(latency_line, described.latencies)) or "Not searched for any device.",
        images=training.images,
        epochs=training.epochs,
        start=training.start,
        recipe=training.recipe,
        seed=training.seed,
        file_lines="\n".join(file_line(name, file) for name, file in described.files.items()),
        mean=list(preprocessing.mean),
        std=list(preprocessing.std),
    )


def latency_line(latency: DeviceLatency) -> str:
    """Return how long a network takes on a device, and where the figure comes from."""
    provenance = latency.provenance
    origin = provenance if provenance == "measured" else f"{provenance}; never measured as a whole"
    setting = f"{latency.device}, {latency.backend} {latency.dtype}, batch {latency.batch}"
    return f"- {setting}: {format_milliseconds(latency.latency_ms)} ({origin})"


def file_line(name: str, file: ExportedFile) -> str:
    """Return how a file is run, and how far it is from the trained network."""
    parity = file.parity
    return (
        f"- `{name}` ({file.dtype}, {file.bytes:,} bytes): {RUN_IT[file.format].format(file=name)}. "
        f"In a fresh process with {file.runtime}, on {parity.samples:,} test images: greatest relative difference "
        f"{parity.max_relative_difference:.1e}, same class {parity.top1_agreement:.2%}"
        + ("" if parity.passed else " - **this check failed**")
    )
