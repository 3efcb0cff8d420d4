"""Runs an exported file in its own runtime; a script for a fresh process, which imports nothing of ours.

python reload.py FORMAT FILE IMAGES.npy LOGITS.npy
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 64  # images at a time


def run_safetensors(file: Path) -> Callable[[Any], Any]:
    """Load the generated model.py beside the weights."""
    import torch

    spec = importlib.util.spec_from_file_location("model", file.with_name("model.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    spec.loader.exec_module(module)
    network = module.load(file.parent)
    return lambda images: network(torch.from_numpy(images)).detach().numpy()


def run_pt2(file: Path) -> Callable[[Any], Any]:
    """Load a program of torch.export."""
    import torch

    network = torch.export.load(file).module()
    return lambda images: network(torch.from_numpy(images)).detach().numpy()


def run_onnx(file: Path) -> Callable[[Any], Any]:
    """Open a session of ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    return lambda images: session.run(None, {name: images})[0]


def run_openvino(file: Path) -> Callable[[Any], Any]:
    """Compile an OpenVINO IR in float32: the default may be bfloat16."""
    import openvino

    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: compiled(images)[0]


RUNNERS = {"safetensors": run_safetensors, "pt2": run_pt2, "onnx": run_onnx, "openvino": run_openvino}


def main(form: str, file: str, images: str, logits: str) -> None:
    """Write the logits [n, classes] of images [n, 3, side, side]; the last few of them are a batch of another size."""
    run, loaded = RUNNERS[form](Path(file)), np.load(images)
    np.save(logits, np.concatenate([run(loaded[at : at + BATCH]) for at in range(0, len(loaded), BATCH)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
