"""What bits cost in accuracy: float parents, and their children of 8, 4 and mixed bits, down to the integer file.

python benchmarks/qat.py                                           # vmamba and resnet, seeds 0 and 1
python benchmarks/qat.py --presets mobilenet --bits 8 --epochs 1 --seeds 1

Each preset of a space with bits is trained in float by the recipe of `nas finetune`, then gets its bits as there. All
figures are of the whole test split: the float parent, the trained network with bits, its file in the integer kernels
of ONNX Runtime, and the share of images on which the two agree. `mixed` draws the bits of every part by the seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.data.datasets import load_dataset
from nas.data.splits import Dataset, Split
from nas.export.kernels import integer_kernels, promised_kernels
from nas.export.onnx import INPUT, export_onnx
from nas.hardware.backends.onnxruntime import one_thread_options
from nas.nn.subnet import Subnet, build_operator, build_subnet, initialised, resize
from nas.space.architecture import Architecture
from nas.space.bits import uniform, with_bits
from nas.space.cost import architecture_cost
from nas.space.kinds import KINDS
from nas.space.operator import Operator, operators
from nas.space.search_space import SearchSpace
from nas.training.network import Recipe, train_model
from nas.training.quantized import tune_quantized
from nas.workflows.finetune import deployed

WIDTHS = ("8", "4", "mixed")


def with_widths(space: SearchSpace, architecture: Architecture, widths: str, seed: int) -> Architecture:
    """Give an architecture uniform bits, or bits drawn by the seed from what the space has in each place."""
    if widths != "mixed":
        return uniform(space, architecture, int(widths))
    rng = np.random.default_rng(seed)
    return with_bits(space, architecture, lambda choices: choices[rng.integers(len(choices))])


def torch_choices(model: nn.Module, images: Tensor) -> np.ndarray:
    """Give the class that a network finds likeliest for each image."""
    with torch.no_grad():
        return np.concatenate([model(part).argmax(1).numpy() for part in images.split(125)])


def file_choices(exported: bytes, images: Tensor) -> np.ndarray:
    """Give the class that an exported file finds likeliest for each image, in ONNX Runtime with its integer kernels."""
    import onnxruntime as ort

    session = ort.InferenceSession(exported, one_thread_options(), providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {INPUT: image[None].numpy()})[0].argmax() for image in images])


def child_figures(child: Subnet, architecture: Architecture, parent_right: float, split: Split) -> dict[str, Any]:
    """Judge a trained network with bits and its file."""
    model = deployed(child)
    images, labels = resize(split.images, child.resolution), split.labels.numpy()
    exported = export_onnx(model, (1, *images.shape[1:]))
    trained, integer = torch_choices(model, images), file_choices(exported, images)
    num_classes = int(labels.max()) + 1
    size = architecture_cost(architecture, num_classes).size_bytes
    promised = promised_kernels(operators(architecture, num_classes))
    return {
        "trained": round(float((trained == labels).mean()), 5),
        "file": round(float((integer == labels).mean()), 5),
        "points_below_parent": round(100 * (parent_right - float((integer == labels).mean())), 3),
        "agreement": round(float((trained == integer).mean()), 5),
        "file_bytes": len(exported),
        "size_bytes": size,
        "size_error": round(len(exported) / size - 1, 4),
        "kernels_as_promised": integer_kernels(exported) == promised,
    }


@torch.no_grad()
def noise_by_kind(parent: Subnet, architecture: Architecture, images: Tensor) -> dict[str, float]:
    """Give the least SQNR in dB over the blocks of each kind, each quantised alone to 8 bits on what reaches it."""
    found: dict[str, list[float]] = {}
    x = resize(images, parent.resolution)
    for layer, op in zip(parent.layers, operators(architecture, 10), strict=True):
        y = layer(x)
        if op.kind in KINDS:
            found.setdefault(op.kind, []).append(sqnr(coded(layer, op, x), x, y))
        x = y
    return {kind: round(min(each), 1) for kind, each in found.items()}


def coded(layer: nn.Module, op: Operator, x: Tensor) -> nn.Module:
    """Give a block 8 bits, with steps found on its input."""
    block = build_operator(Operator(op.kind, op.in_channels, op.out_channels, op.grid, op.settings, 8))
    block.load_state_dict({**block.state_dict(), **layer.state_dict()})
    entry = build_operator(Operator("quantize", op.in_channels, op.in_channels, op.grid, (), 8))
    module = nn.Sequential(entry, block).eval()
    with initialised(module):
        module(x)
    return module


def sqnr(module: nn.Module, x: Tensor, y: Tensor) -> float:
    """Give the power of `y` over that of what `module` gives instead, in dB."""
    return 10 * float(torch.log10(y.square().sum() / (module(x) - y).square().sum()))


def judged(
    space: SearchSpace, name: str, bits: Sequence[str], dataset: Dataset, recipe: Recipe, seed: int
) -> Iterator[dict[str, Any]]:
    """Train a preset in float and its children with bits; yield a line for each."""
    architecture = space.presets[name].architecture
    torch.manual_seed(seed)
    parent = train_model(build_subnet(architecture, space.num_classes), dataset, recipe, seed)
    assert isinstance(parent, Subnet)
    split = dataset.test()
    assert isinstance(split, Split)
    choices = torch_choices(parent, resize(split.images, parent.resolution))
    right = float((choices == split.labels.numpy()).mean())
    about = {"preset": name, "seed": seed}
    noise = noise_by_kind(parent, architecture, dataset.calibration(256))
    yield {**about, "bits": "fp", "trained": round(right, 5), "least_sqnr_db": noise}
    for widths in bits:
        coded_as = with_widths(space, architecture, widths, seed)
        child = tune_quantized(parent, coded_as, dataset, recipe, seed)
        assert isinstance(child, Subnet)
        yield {**about, "bits": widths, **child_figures(child, coded_as, right, split)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="scan-mix-tiny-int8")
    parser.add_argument("--data", default="cluttered-digits")
    parser.add_argument("--presets", nargs="+", default=["vmamba", "resnet"])
    parser.add_argument("--bits", nargs="+", choices=WIDTHS, default=WIDTHS)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    space, recipe = SearchSpace.load(args.space), Recipe(epochs=args.epochs)
    lines = []
    for seed in range(args.seeds):
        dataset = load_dataset(args.data, seed)
        for name in args.presets:
            for line in judged(space, name, args.bits, dataset, recipe, seed):
                lines.append(line)
                print(json.dumps(line), flush=True)
    for name in args.presets:
        for widths in args.bits:
            lost = [each["points_below_parent"] for each in lines if (each["preset"], each["bits"]) == (name, widths)]
            print(f"{name}, {widths} bits: {np.mean(lost):+.2f} points below its parent ({min(lost)} to {max(lost)})")


if __name__ == "__main__":
    main()
