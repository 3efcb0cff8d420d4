"""Accuracy of a network on a split, and of architectures with the weights they inherit from a supernet."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nas.evaluation.splits import AnySplit, batches
from nas.space.architecture import Architecture
from nas.supernet.calibration import calibrate
from nas.supernet.supernet import Supernet

BATCH_SIZE = 256


@torch.no_grad()
def accuracy(predict: Callable[[Tensor], Tensor], split: AnySplit) -> float:
    """Give the share of `split` whose class has the largest of the logits that `predict` gives, in [0, 1]."""
    correct = total = 0
    for images, labels in batches(split, BATCH_SIZE, None):
        correct += int((predict(images).argmax(1) == labels).sum())
        total += len(labels)
    return correct / total


def model_accuracy(model: nn.Module, split: AnySplit) -> float:
    """Give the accuracy of a model in eval mode; its mode is put back afterwards."""
    was_training = model.training
    model.eval()
    found = accuracy(model, split)
    model.train(was_training)
    return found


def inherited_accuracy(
    supernet: Supernet, architecture: Architecture, calibration_images: Tensor, split: AnySplit
) -> float:
    """Give the accuracy of a subnet with inherited weights and BatchNorm statistics of its own."""
    was_training = supernet.training
    supernet.eval()
    stats = calibrate(supernet, architecture, calibration_images)
    found = accuracy(lambda images: supernet(images, architecture, stats), split)
    supernet.train(was_training)
    return found
