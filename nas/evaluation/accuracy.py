"""Accuracy of a network on a split, and of architectures with the weights they inherit from a supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from nas.data.splits import AnySplit, batches
from nas.nn.threads import one_thread_each
from nas.space.architecture import Architecture
from nas.supernet.bn_calibration import calibrate
from nas.supernet.supernet import Supernet, extract

Item = TypeVar("Item")
Result = TypeVar("Result")
BATCH_SIZE = 125  # of 25 to 250 the fastest for small networks (measured, one x86 core)


def accuracy(predict: Callable[[Tensor], Tensor], split: AnySplit) -> float:
    """Return the share of `split` whose class has the largest of the logits that `predict` gives, in [0, 1]."""
    return num_correct(predict, split) / len(split)


def num_correct(predict: Callable[[Tensor], Tensor], split: AnySplit) -> int:
    """Count the images of `split` whose class has the largest of the logits that `predict` gives."""

    @torch.no_grad()
    def count(part: tuple[Tensor, Tensor]) -> int:
        images, labels = part
        return int((predict(images).argmax(1) == labels).sum())

    return sum(side_by_side(count, batches(split, BATCH_SIZE, None)))


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Do the same work on every item, several at a time in threads; yield the results in order.

    Every operation uses one thread, so that results do not depend on the number of cores.
    """
    waiting = iter(items)
    with one_thread_each() as at_once, ThreadPoolExecutor(at_once) as pool:
        while few := list(islice(waiting, at_once)):
            yield from pool.map(work, few)


def model_accuracy(model: nn.Module, split: AnySplit) -> float:
    """Return the accuracy of a model in eval mode; its mode is restored afterwards."""
    was_training = model.training
    model.eval()
    share = accuracy(model, split)
    model.train(was_training)
    return share


def inherited_accuracy(
    supernet: Supernet, architecture: Architecture, calibration_images: Tensor, split: AnySplit
) -> float:
    """Return the accuracy of a subnet with inherited weights and BatchNorm statistics of its own."""
    return accuracy(inherited_subnet(supernet, architecture, calibration_images), split)


def inherited_subnet(supernet: Supernet, architecture: Architecture, calibration_images: Tensor) -> nn.Module:
    """Extract a subnet with inherited weights and BatchNorm statistics of its own, ready to predict."""
    with one_thread_each():
        stats = calibrate(supernet, architecture, calibration_images)
        return extract(supernet, architecture, stats).to(memory_format=torch.channels_last)
