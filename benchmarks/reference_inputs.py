"""Which input size and learning rate serve each hand-designed model best on 32 x 32 images.

Trains every (model, size, rate) for the same number of images and prints accuracy on the *validation* split beside the
latency of the whole network. The rates include the one of the default recipe, so that no baseline is held back by it.

    python benchmarks/reference_inputs.py --epochs 3 --threads 1 > reference_inputs.txt
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time

import torch

from nas.data.datasets import load_dataset
from nas.evaluation.accuracy import model_accuracy
from nas.hardware.backends.onnxruntime import onnxruntime_call
from nas.hardware.backends.session import Setting, arithmetic
from nas.hardware.measurement.protocol import measure_interleaved
from nas.nn.timm_model import Reference, build_reference
from nas.training.network import Recipe, train_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="resnet10t,mobilenetv3_small_050,convnext_atto,mambaout_femto")
    parser.add_argument("--sizes", default="32,64")
    parser.add_argument("--rates", default="0.002")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dataset = load_dataset("cluttered-digits", args.seed)
    validation = dataset.validation()
    print(f"cluttered-digits, {args.epochs} epochs of 12,000 images, seed {args.seed}, torch {torch.__version__}")
    print(f"{'model':<28}{'rate':>8}{'validation':>12}{'ms (ORT, 1 thread)':>20}{'train s (CPU)':>15}")
    grid = itertools.product(args.models.split(","), args.sizes.split(","), args.rates.split(","))
    for name, size, rate in grid:
        reference = Reference(name, int(size))
        torch.manual_seed(args.seed)
        model = build_reference(reference, dataset.num_classes)
        start = time.process_time()
        trained = train_model(model, dataset, Recipe(epochs=args.epochs, learning_rate=float(rate)), args.seed)
        seconds = time.process_time() - start
        accuracy = model_accuracy(trained, validation)
        with arithmetic(Setting()):
            shape = (1, 3, reference.resolution, reference.resolution)
            call = onnxruntime_call(copy.deepcopy(trained), shape, Setting())
            ms = measure_interleaved({"model": call})["model"].ms
        print(f"{reference!s:<28}{float(rate):>8g}{accuracy:>12.2%}{ms:>20.3f}{seconds:>15.0f}", flush=True)


if __name__ == "__main__":
    main()
