"""What the subnets of a step are trained towards."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_LOG = -1e4  # a teacher may be sure: the logarithm of its zeros stays finite
CLAMP = 5.0  # of the power of p / q, for all but Kullback-Leibler
ALPHAS = (-1.0, 1.0)  # the two that the adaptive divergence chooses from


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of the student's logits [b, classes] to the teacher's probabilities, mean over the batch.

    In-place distillation (Yu & Huang 2019): the teacher is the largest subnet of the same step; no gradient reaches it.
    """
    return -(F.softmax(teacher.detach(), 1) * F.log_softmax(student, 1)).sum(1).mean()


def alpha_divergence(log_p: Tensor, log_q: Tensor, alpha: float, clamp: float = CLAMP) -> tuple[Tensor, Tensor]:
    """Divergence [b] of q from p [b, classes], and the weights [b, classes] of its surrogate.

    `D = sum q (w^a - 1) / (a (a - 1))` with `w = p / q`; `-sum weights log q` has its gradient if the weights are held.
    `w^a` never exceeds `clamp`; at alpha = 1 (Kullback-Leibler) and 0, limits of it, it is never formed.
    """
    p, q, gap = log_p.exp(), log_q.exp(), log_p - log_q
    if alpha == 1:
        return (p * gap).sum(1), p
    if alpha == 0:
        return -(q * gap).sum(1), q * (gap - 1)
    power, scale = (alpha * gap).clamp(max=math.log(clamp)).exp(), 1 / (alpha * (alpha - 1))
    return scale * (q * (power - 1)).sum(1), q * (power / alpha + scale)


def adaptive_alpha(student: Tensor, teacher: Tensor) -> Tensor:
    """Surrogate of the larger of two alpha-divergences of each image, from logits [b, classes]; mean over the batch.

    One punishes a student that is too sure, the other one that is not sure enough (Wang et al. 2021, AlphaNet,
    arXiv 2102.07954). In log space and float32, so that no gap of logits overflows. The value is no divergence.
    """
    log_p = F.log_softmax(teacher.detach().float(), 1).clamp(min=LEAST_LOG)
    log_q = F.log_softmax(student.float(), 1)
    with torch.no_grad():
        (low, weights_low), (high, weights_high) = (alpha_divergence(log_p, log_q, alpha) for alpha in ALPHAS)
        weights = torch.where((low > high)[:, None], weights_low, weights_high)
    return -(weights * log_q).sum(1).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"distillation": distillation, "alpha": adaptive_alpha}


def child_loss(
    student: Tensor, teacher: Tensor, labels: Tensor, distill: float, towards: str = "distillation"
) -> Tensor:
    """Mix one of `LOSSES`, of weight `distill` in [0, 1], with the labels' cross-entropy."""
    return distill * LOSSES[towards](student, teacher) + (1 - distill) * F.cross_entropy(student, labels)
