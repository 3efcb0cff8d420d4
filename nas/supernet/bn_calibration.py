"""BatchNorm statistics and activation steps of one subnet: those that all subnets share are right for none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.nn.quantizer import TensorQuantizer, initialised
from nas.nn.subnet import resize
from nas.space.architecture import Architecture
from nas.space.operator import Operator
from nas.supernet.supernet import NormStatistics, Supernet, placed_operators

CALIBRATION_BATCH_SIZE = 128


@torch.no_grad()
def calibrate(
    supernet: Supernet, architecture: Architecture, images: Tensor, batch_size: int = CALIBRATION_BATCH_SIZE
) -> NormStatistics:
    """Measure a subnet's BatchNorm statistics, and set its activation steps, on `images` [n, 3, h, w].

    Each batch runs normalised by its own statistics, as in training; they are pooled as `mean = sum n m / sum n` and
    `var = sum n (v + (m - mean)^2) / sum n`, which for the first norm equals one pass over all images. The shared
    running statistics are neither read nor changed. The steps of activations have the least squared error on the first
    batch (`nas.nn.quantizer.best_steps`).
    """
    batches = [resize(part, architecture.resolution) for part in images.split(batch_size)]
    stats = []
    for name, op in placed_operators(architecture, supernet.space.num_classes):
        statistics, batches = calibrate_operator(supernet, name, op, batches)
        stats.append(statistics)
    return tuple(stats)


@torch.no_grad()
def calibrate_operator(
    supernet: Supernet, name: str, op: Operator, batches: Sequence[Tensor]
) -> tuple[Mapping[str, Tensor], list[Tensor]]:
    """Measure the statistics of one operator of a subnet on its inputs; return them and what it makes of each batch."""
    slices = supernet.slices(name, op, True)
    module, state = slices.skeleton, slices.state()
    steps = activation_steps(module)
    own = {key for key in state if "running" in key or "tracked" in key} | steps
    state = {key: value.clone() if key in own else value for key, value in state.items()}
    with recorded_moments(module) as moments, initialised(module, (TensorQuantizer,)):
        made = [functional_call(module, state, (batch,), strict=True) for batch in batches]
    return {**pooled(moments), **{key: state[key] for key in steps}}, made


def activation_steps(module: nn.Module) -> set[str]:
    """Name the steps of a module's activations."""
    return {
        f"{name}.{key}" if name else key
        for name, part in module.named_modules()
        if isinstance(part, TensorQuantizer)
        for key, _ in part.named_parameters()
    }


@contextmanager
def recorded_moments(module: nn.Module) -> Iterator[dict[str, list[tuple[int, Tensor, Tensor]]]]:
    """Collect (count, variance, mean) of the inputs of each BatchNorm of `module`, by its name."""
    groups: dict[str, list[tuple[int, Tensor, Tensor]]] = {}

    def listen(name: str, x: Tensor) -> None:
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        groups.setdefault(name, []).append((x.numel() // x.shape[1], variance, mean))

    handles = [
        part.register_forward_pre_hook(lambda _, args, name=name: listen(name, args[0]))
        for name, part in module.named_modules()
        if isinstance(part, nn.BatchNorm2d)
    ]
    try:
        yield groups
    finally:
        for handle in handles:
            handle.remove()


def pooled(moments: dict[str, list[tuple[int, Tensor, Tensor]]]) -> dict[str, Tensor]:
    """Pool the moments of batches into running statistics by buffer name; the term between batches is included."""
    state = {}
    for name, parts in moments.items():
        counts = torch.tensor([count for count, _, _ in parts], dtype=torch.float64, device=parts[0][1].device)
        share = (counts / counts.sum())[:, None]
        variances = torch.stack([variance for _, variance, _ in parts]).double()
        means = torch.stack([mean for _, _, mean in parts]).double()
        mean = (share * means).sum(0)
        state[f"{name}.running_mean"] = mean.float()
        state[f"{name}.running_var"] = (share * (variances + (means - mean).square())).sum(0).float()
    return state
