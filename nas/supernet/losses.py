"""What the subnets of a step are trained towards."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of the student's logits [b, classes] to the teacher's probabilities, mean over the batch.

    In-place distillation (Yu & Huang 2019): the teacher is the largest subnet of the same step; no gradient reaches it.
    """
    return -(F.softmax(teacher.detach(), 1) * F.log_softmax(student, 1)).sum(1).mean()


def child_loss(student: Tensor, teacher: Tensor, labels: Tensor, distill: float) -> Tensor:
    """Mix distillation, of weight `distill` in [0, 1], with the labels' cross-entropy."""
    return distill * distillation(student, teacher) + (1 - distill) * F.cross_entropy(student, labels)
