"""What an optimiser is given: groups of parameters, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


def laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Copy a value into the memory format of its parameter, which the fused optimiser takes for granted."""
    return value.clone() if value.shape != parameter.shape else torch.empty_like(parameter).copy_(value).detach()


def parameter_groups(module: nn.Module, weight_decay: float, step_rate: float = 1.0) -> list[dict[str, Any]]:
    """Split parameters: vectors do not decay, in whatever network - norms, biases, the state-space parameters; nor do
    matrices of kernels, whose zero is not their identity.

    The steps of quantisers learn at `step_rate` times the rate of the others: `rate_factor` of their group.
    """
    steps = [parameter for name, parameter in module.named_parameters() if "log_step" in name]
    held = {id(parameter) for parameter in steps}
    others = [parameter for parameter in module.parameters() if id(parameter) not in held]
    matrices = {id(parameter) for name, parameter in module.named_parameters() if name.startswith("kernel_matrices.")}
    decayed = [parameter for parameter in others if parameter.dim() > 1 and id(parameter) not in matrices]
    free = [parameter for parameter in others if parameter.dim() <= 1 or id(parameter) in matrices]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [*groups, {"params": steps, "weight_decay": 0.0, "rate_factor": step_rate}] if steps else groups


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_factor", 1.0)


def learning_rate(step: int, total_steps: int, peak: float, warmup_fraction: float) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warmup = max(1, int(total_steps * warmup_fraction))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))
