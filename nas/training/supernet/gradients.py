"""The gradients of a step's subnets: added up over subnets and parts of the batch, always in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.space.architecture import Architecture
from nas.supernet.supernet import Supernet
from nas.training.losses import child_loss
from nas.training.supernet.recipe import SupernetRecipe


class SequentialGradients:
    """Trains the subnets of a step one after another: the memory of one at a time."""

    def __init__(self, supernet: Supernet, recipe: SupernetRecipe) -> None:
        self.supernet, self.recipe = supernet, recipe

    def add(self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor) -> float:
        """Add the gradients of all subnets, the largest first, over the batch; return the mean loss of the largest."""
        parts, loss = self.recipe.accumulate, 0.0
        for some_images, theirs in zip(images.chunk(parts), labels.chunk(parts), strict=True):
            loss += self.add_part(architectures, some_images, theirs) / parts
        return loss

    def add_part(self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor) -> float:
        """Add the gradients over one part of the batch."""
        largest, *drawn, smallest = architectures
        teacher: Future[Tensor] = Future()
        loss = self.teacher_forward(largest, images, labels, teacher)
        train_children(self.supernet, [smallest], images, labels, teacher, self.recipe, 1)
        train_children(self.supernet, drawn, images, labels, teacher, self.recipe, self.shares(drawn))
        return loss

    def teacher_forward(self, largest: Architecture, images: Tensor, labels: Tensor, teacher: Future[Tensor]) -> float:
        """Add the gradients of the largest subnet, and let the others have its logits."""
        logits = run(self.supernet, largest, images, self.recipe)
        teacher.set_result(logits.detach())
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.smoothing)
        (loss / self.recipe.accumulate).backward()
        return loss.item()

    def shares(self, drawn: Sequence[Architecture]) -> int:
        """Return into how many shares the random subnets split what they see."""
        return len(drawn) if self.recipe.split_batch else 1


class DataParallelGradients(SequentialGradients):
    """Trains the subnets one after another on this process's share of the batch, and averages over all ranks.

    With DistributedDataParallel, whose hooks await one backward pass with the same parameters each time, a step of
    several subnets would send their gradients several times.
    """

    def __init__(self, supernet: Supernet, recipe: SupernetRecipe) -> None:
        super().__init__(supernet, recipe)
        self.parameters = list(supernet.parameters())

    def add(self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor) -> float:
        """Add the gradients of all subnets over the whole batch, of which `images` and `labels` are a share."""
        ranks = self.supernet.ranks
        loss = super().add(architectures, images, labels)
        ranks.mean_gradients(self.parameters)
        return ranks.mean(torch.tensor(loss, dtype=torch.float64)).item()


class ThreadedGradients(SequentialGradients):
    """Trains the random subnets of a step by a second thread, on a twin of the supernet.

    Two threads on different subnets need no barrier within an operation: beside other work on the same cores they are
    not slowed down tenfold, as one subnet spread over two cores is (measured), and on free cores they are a tenth
    faster.
    """

    def __init__(self, supernet: Supernet, recipe: SupernetRecipe) -> None:
        super().__init__(supernet, recipe)
        self.twin = supernet.twin()
        self.pairs = list(zip(supernet.parameters(), self.twin.parameters(), strict=True))
        self.second_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="supernet-twin")

    def add(self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor) -> float:
        """Add the gradients of all subnets; those of the twin at the end, whichever thread is done first."""
        for _, other in self.pairs:
            other.grad = None
        loss = super().add(architectures, images, labels)
        for own, other in self.pairs:
            if other.grad is not None:
                own.grad = other.grad if own.grad is None else own.grad.add_(other.grad)
        return loss

    def add_part(self, architectures: Sequence[Architecture], images: Tensor, labels: Tensor) -> float:
        """Add the gradients over one part of the batch, in both threads."""
        largest, *drawn, smallest = architectures
        teacher: Future[Tensor] = Future()
        shares = self.shares(drawn)
        beside = self.second_thread.submit(
            train_children, self.twin, drawn, images, labels, teacher, self.recipe, shares
        )
        try:
            loss = self.teacher_forward(largest, images, labels, teacher)
            train_children(self.supernet, [smallest], images, labels, teacher, self.recipe, 1)
        finally:
            teacher.cancel()  # does nothing once it has its result; else it ends the other thread's wait
            wait([beside])
        beside.result()
        return loss


def gradients_of(supernet: Supernet, recipe: SupernetRecipe) -> SequentialGradients:
    """Choose how gradients are added up: over ranks where there are any, else as the recipe says."""
    if supernet.ranks.count > 1:
        return DataParallelGradients(supernet, recipe)
    return (ThreadedGradients if recipe.side_by_side else SequentialGradients)(supernet, recipe)


def train_children(
    supernet: Supernet,
    architectures: Sequence[Architecture],
    images: Tensor,
    labels: Tensor,
    teacher: Future[Tensor],
    recipe: SupernetRecipe,
    shares: int,
) -> None:
    """Add the gradients of some subnets; while the teacher's logits are not there, the next ones run forward.

    The batch is cut into `shares`, which the subnets see in turn (several architectures per batch: Liao et al. 2021,
    ViT-ResNAS, arXiv 2109.00642).
    """
    waiting: list[tuple[Tensor, slice]] = []

    def go_back() -> None:
        for logits, share in waiting:
            loss = child_loss(logits, teacher.result()[share], labels[share], recipe.distill, recipe.loss)
            (loss / (shares * recipe.accumulate)).backward()
        waiting.clear()

    for number, architecture in enumerate(architectures):
        k = number % shares
        share = slice(k * len(labels) // shares, (k + 1) * len(labels) // shares)
        waiting.append((run(supernet, architecture, images[share], recipe), share))
        if teacher.done():
            go_back()
    go_back()


def run(supernet: Supernet, architecture: Architecture, images: Tensor, recipe: SupernetRecipe) -> Tensor:
    """Return the logits of a subnet, float32 whatever the precision of its products."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
        return supernet(images, architecture).float()
