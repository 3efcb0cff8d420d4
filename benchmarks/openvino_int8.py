"""One int8 file, two runtimes: does OpenVINO read it, compute the same on codes, and gain as much?

python benchmarks/openvino_int8.py                     # resnet
python benchmarks/openvino_int8.py --presets vmamba --epochs 3

A preset is trained in float and gets 8 bits by calibration. Its float and its 8-bit file run in ONNX Runtime and in
OpenVINO on one thread, in interleaved rounds (`nas.hardware.measurement.protocol`), by CPU time of the process.
Agreement: the share of test images to which a runtime gives the class of the trained network.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.data.datasets import load_dataset
from nas.data.splits import Dataset, Split
from nas.export.onnx import INPUT, export_onnx
from nas.hardware.backends.onnxruntime import one_thread_options, onnxruntime_call
from nas.hardware.backends.openvino import compiled, openvino_call
from nas.hardware.backends.session import Call, Setting
from nas.hardware.measurement.protocol import measure_interleaved
from nas.nn.subnet import Subnet, build_subnet, resize
from nas.space.bits import uniform
from nas.space.search_space import SearchSpace
from nas.training.network import Recipe, train_model
from nas.training.quantized import quantize_model
from nas.workflows.finetune import deployed

FLOATS = Setting("cpu", "fp32")  # of what the files do not say is on codes


def onnxruntime_choices(file: bytes, images: Tensor) -> np.ndarray:
    """Give the class that ONNX Runtime finds likeliest for each image."""
    import onnxruntime as ort

    session = ort.InferenceSession(file, one_thread_options(), providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {INPUT: image[None].numpy()})[0].argmax() for image in images])


def openvino_choices(file: bytes, images: Tensor) -> np.ndarray:
    """Give the class that OpenVINO finds likeliest for each image."""
    model = compiled(file, FLOATS.dtype)
    return np.array([model([image[None].numpy()])[0].argmax() for image in images])


def precisions(file: bytes) -> dict[str, dict[str, int]]:
    """Count the kernels that OpenVINO runs by kind and by the precision of their arithmetic, moves left out."""
    found: dict[str, Counter[str]] = {}
    for node in compiled(file, FLOATS.dtype).get_runtime_model().get_ops():
        about = node.get_rt_info()
        kind = about["layerType"].astype(str)
        if kind in ("Convolution", "FullyConnected", "MatMul", "Eltwise"):
            found.setdefault(kind, Counter())[about["runtimePrecision"].astype(str)] += 1
    return {kind: dict(counts) for kind, counts in found.items()}


def judged(space: SearchSpace, name: str, dataset: Dataset, recipe: Recipe, num_images: int) -> dict[str, Any]:
    """Train a preset, give it 8 bits, compare the two runtimes."""
    architecture = space.presets[name].architecture
    torch.manual_seed(0)
    parent = train_model(build_subnet(architecture, space.num_classes), dataset, recipe, 0)
    assert isinstance(parent, Subnet)
    coded = uniform(space, architecture, 8)
    child = deployed(quantize_model(parent, coded, dataset.num_classes, dataset.calibration()))
    shape = (1, 3, child.resolution, child.resolution)
    models = {"float": deployed(parent), "8 bits": child}
    calls: dict[str, Call] = {
        f"onnxruntime, {bits}": onnxruntime_call(model, shape, FLOATS) for bits, model in models.items()
    }
    calls |= {f"openvino, {bits}": openvino_call(model, shape, FLOATS) for bits, model in models.items()}
    measured = measure_interleaved(calls, rounds=6, min_samples=120, clock=time.process_time)
    split = dataset.test()
    assert isinstance(split, Split)
    file, images = export_onnx(child, shape), resize(split.images[:num_images], child.resolution)
    with torch.no_grad():
        trained = torch.cat([child(part).argmax(1) for part in images.split(125)]).numpy()
    return {
        "preset": name,
        "us": {each: round(1e3 * found.ms, 1) for each, found in measured.items()},
        "noise": round(max(found.sigma_rel for found in measured.values()), 3),
        "agreement": {
            "onnxruntime": round(float((onnxruntime_choices(file, images) == trained).mean()), 5),
            "openvino": round(float((openvino_choices(file, images) == trained).mean()), 5),
        },
        "openvino kernels": precisions(file),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="scan-mix-tiny-int8")
    parser.add_argument("--data", default="cluttered-digits")
    parser.add_argument("--presets", nargs="+", default=["resnet"])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=2000)
    args = parser.parse_args()
    space, dataset = SearchSpace.load(args.space), load_dataset(args.data, 0)
    for name in args.presets:
        print(json.dumps(judged(space, name, dataset, Recipe(epochs=args.epochs), args.images)), flush=True)


if __name__ == "__main__":
    main()
