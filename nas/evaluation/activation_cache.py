"""Subnets that begin alike: each one continues where it differs from the one before, whose activations are kept.

An operator's weights, statistics and input follow from what runs before it, so the counts are the same as those of each
subnet on its own, to the bit. In the order of their genomes neighbours have most in common.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nas.data.splits import AnySplit, batches
from nas.evaluation.accuracy import BATCH_SIZE, side_by_side
from nas.nn.subnet import resize
from nas.nn.threads import one_thread_each
from nas.space.architecture import Architecture
from nas.space.operator import Operator
from nas.supernet.bn_calibration import CALIBRATION_BATCH_SIZE, calibrate_operator
from nas.supernet.supernet import Supernet, extract_operator, placed_operators

MOST_BYTES = 2**29  # of activations that are kept, divided among calibration images and parts by their size

Step = tuple[int, str, Operator]  # the resolution of the image, the name of the shared module, the operator


class SubnetCounts:
    """Counts correct answers of subnets with inherited weights and statistics of their own, on parts of a split."""

    def __init__(
        self, supernet: Supernet, calibration_images: Tensor, parts: Sequence[AnySplit], most_bytes: int = MOST_BYTES
    ) -> None:
        self.supernet, self.images, self.parts = supernet, calibration_images, parts
        share = most_bytes / (len(calibration_images) + sum(len(part) for part in parts))
        self.calibrated = ActivationCache(share * len(calibration_images))
        self.counted = [ActivationCache(share * len(part)) for part in parts]
        self.labels: list[list[Tensor]] = [[] for _ in parts]
        self.steps: list[Step] = []  # of the subnet extracted last
        self.layers: list[nn.Module] = []

    def num_correct(self, architecture: Architecture, part: int) -> float:
        """Count the images of one part that a subnet classifies correctly; NaN where a logit is not finite."""
        placed = placed_operators(architecture, self.supernet.space.num_classes)
        steps = [(architecture.resolution, name, op) for name, op in placed]
        if steps != self.steps:
            self.extract(steps)
        return self.count(part)

    @one_thread_each()
    @torch.no_grad()
    def extract(self, steps: list[Step]) -> None:
        """Calibrate and extract what the subnet does not share with the one before."""
        start = self.calibrated.leave(steps)
        del self.layers[start:]
        made = self.calibrated.outputs[-1] if start else self.resized(steps[0][0])
        for position, (resolution, name, op) in enumerate(steps[start:], start):
            stats, made = calibrate_operator(self.supernet, name, op, made)
            self.calibrated.keep(position, (resolution, name, op), made)
            layer = extract_operator(self.supernet, name, op, stats)
            self.layers.append(layer.to(memory_format=torch.channels_last))
        self.steps = steps

    def resized(self, resolution: int) -> list[Tensor]:
        """Return the calibration images in batches."""
        return [resize(part, resolution) for part in self.images.split(CALIBRATION_BATCH_SIZE)]

    def count(self, part: int) -> float:
        """Run the subnet extracted last on one part, from where it differs from the one that ran there before."""
        cache = self.counted[part]
        start = cache.leave(self.steps)
        layers = self.layers[start:]

        @torch.no_grad()
        def run(batch: tuple[Tensor, Tensor]) -> tuple[list[Tensor], float]:
            x, labels = batch
            x = x if start else resize(x, self.steps[0][0])
            made = []
            for layer in layers:
                x = layer(x)
                made.append(x)
            return made, int((x.argmax(1) == labels).sum()) if x.isfinite().all() else math.nan

        correct: float = 0
        rows: list[list[Tensor]] = []
        for made, num_right in side_by_side(run, self.inputs(part)):
            if not rows:
                fits = cache.fitting(made, math.ceil(len(self.parts[part]) / BATCH_SIZE))
            rows.append(made[:fits])
            correct += num_right
        for position, outputs in enumerate(zip(*rows, strict=True), start):
            cache.keep(position, self.steps[position], list(outputs))
        return correct

    def inputs(self, part: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs of the first operator that has to run, and the labels, in batches."""
        if self.counted[part].steps:
            yield from zip(self.counted[part].outputs[-1], self.labels[part], strict=True)
            return
        self.labels[part] = []
        for images, labels in batches(self.parts[part], BATCH_SIZE, None):
            self.labels[part].append(labels)
            yield images, labels


class ActivationCache:
    """Outputs of the first steps of the network that ran last, for some batches, as far as `most_bytes` allow."""

    def __init__(self, most_bytes: float) -> None:
        self.room = most_bytes
        self.steps: list[Step] = []
        self.outputs: list[list[Tensor]] = []  # by step, then by batch

    def leave(self, steps: Sequence[Step]) -> int:
        """Forget what `steps` do not begin with; return how many steps are left."""
        pairs = zip(self.steps, steps, strict=False)
        left = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(self.steps), len(steps)))
        self.room += sum(num_bytes(made) for made in self.outputs[left:])
        del self.steps[left:], self.outputs[left:]
        return left

    def fitting(self, made: Sequence[Tensor], num_batches: int) -> int:
        """Return of how many of the next steps the outputs fit; `made` are the outputs of one batch."""
        needed = 0
        for position, tensor in enumerate(made):
            needed += num_batches * tensor.nbytes
            if needed > self.room:
                return position
        return len(made)

    def keep(self, position: int, step: Step, made: list[Tensor]) -> None:
        """Keep the outputs of the step at a position, unless they do not fit or one before it is not kept."""
        if position == len(self.steps) and num_bytes(made) <= self.room:
            self.room -= num_bytes(made)
            self.steps.append(step)
            self.outputs.append(made)


def num_bytes(tensors: Sequence[Tensor]) -> int:
    """Return the bytes that tensors take."""
    return sum(tensor.nbytes for tensor in tensors)
