"""The formats of an exported network: one function each, which writes its files and returns the name to load."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.export.onnx import export_any_batch
from nas.export.source import tensors_of, write_source
from nas.files import write_bytes, write_text
from nas.nn.subnet import Subnet
from nas.nn.tensor_file import save_tensors
from nas.space.architecture import Architecture
from nas.space.operator import operators

MOST_IMAGES = 4096  # that an exported torch program says it takes at once
RUNTIMES = {"safetensors": "torch", "pt2": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
DTYPES = {"safetensors": ("fp32",), "pt2": ("fp32",), "onnx": ("fp32", "fp16"), "openvino": ("fp32", "fp16")}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network to export, and an image to try it on: pixels, uint8 [h, w, 3]."""

    model: Subnet
    architecture: Architecture
    num_classes: int
    sample: np.ndarray


@torch.no_grad()
def export_program(model: Subnet) -> torch.export.ExportedProgram:
    """Export a network as a program of plain operations for 1 to MOST_IMAGES images of its size."""
    images = torch.zeros(2, 3, model.resolution, model.resolution)
    model(images)  # what scans compute once and keep must be real tensors, not tensors of the export
    return torch.export.export(
        model, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MOST_IMAGES)},)
    )


def write_safetensors(network: TrainedNetwork, dtype: str, folder: Path) -> str:
    """Write model.safetensors, the model.py that runs it, and a sample image."""
    program = export_program(network.model)
    titles = [op.key for op in operators(network.architecture, network.num_classes)]
    write_bytes(folder / "model.safetensors", save_tensors(tensors_of(program)))
    write_text(folder / "model.py", write_source(program, network.architecture.id, titles))
    sample = io.BytesIO()
    np.save(sample, network.sample)
    write_bytes(folder / "sample.npy", sample.getvalue())
    return "model.safetensors"


def write_pt2(network: TrainedNetwork, dtype: str, folder: Path) -> str:
    """Write model.pt2."""
    written = io.BytesIO()
    torch.export.save(export_program(network.model), written)
    write_bytes(folder / "model.pt2", written.getvalue())
    return "model.pt2"


def onnx_bytes(model: Subnet, dtype: str) -> bytes:
    """Return the ONNX file of a network, for any number of images; input and output are float32 in any dtype."""
    exported = export_any_batch(copy.deepcopy(model), (3, model.resolution, model.resolution))
    if dtype != "fp16":
        return exported
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    halved = convert_float_to_float16(onnx.load_from_string(exported), keep_io_types=True)
    return bytes(halved.SerializeToString())


def write_onnx(network: TrainedNetwork, dtype: str, folder: Path) -> str:
    """Write model.onnx, or model-fp16.onnx."""
    name = "model-fp16.onnx" if dtype == "fp16" else "model.onnx"
    write_bytes(folder / name, onnx_bytes(network.model, dtype))
    return name


def write_openvino(network: TrainedNetwork, dtype: str, folder: Path) -> str:
    """Write model.xml and model.bin, or model-fp16 with weights of half precision."""
    import openvino

    core = openvino.Core()
    program = core.read_model(io.BytesIO(onnx_bytes(network.model, "fp32")))
    name = "model-fp16.xml" if dtype == "fp16" else "model.xml"
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(program, folder / name, compress_to_fp16=dtype == "fp16")
    return name


Writer = Callable[[TrainedNetwork, str, Path], str]
WRITERS: Mapping[str, Writer] = {
    "safetensors": write_safetensors,
    "onnx": write_onnx,
    "pt2": write_pt2,
    "openvino": write_openvino,
}
