"""When each bit-width joins a training, and the steps it begins with (after Shen et al. 2021, OQA)."""

from __future__ import annotations

from itertools import count

import numpy as np
import torch
from torch import Tensor

from nas.nn.quantizer import initialised
from nas.nn.subnet import resize
from nas.space.architecture import Architecture
from nas.space.bits import uniform, with_bits
from nas.space.operator import ACTIVATION_BITS
from nas.space.search_space import SearchSpace, widths_of
from nas.supernet.supernet import Supernet, placed_operators
from nas.training.supernet.fair_sampling import rotation, with_kinds


def joins(space: SearchSpace, total_steps: int, shares: tuple[float, ...]) -> dict[int, int]:
    """Return for each integer bit-width of a space, most bits first, the step at which it joins.

    `shares` of all steps go before; the last share holds for all further widths.
    """
    widths = sorted({*widths_of(space), ACTIVATION_BITS}, reverse=True) if widths_of(space) else []
    return {bits: int(shares[min(i, len(shares) - 1)] * total_steps) for i, bits in enumerate(widths)}


@torch.no_grad()
def begin_steps(supernet: Supernet, width: int, images: Tensor, seed: int) -> None:
    """Set all shared steps of one bit-width by the weights as they are and the activations of `images` [n, 3, h, w].

    Runs largest subnets that together hold every kind in every slot, each with all its parts quantised and with every
    other part, so that each place where integer values begin is met as well.
    """
    space = supernet.space
    rng = np.random.default_rng([seed, width, 5])
    for context in range(max(len(stage.kinds) for stage in space.stages)):
        architecture = with_kinds(space, rotation(space, context, seed, member=0), rng, max)
        for profile in (
            every_other(space, architecture, width, 0),
            every_other(space, architecture, width, 1),
            uniform(space, architecture, width),
        ):
            run_and_set(supernet, profile, width, images)


def every_other(space: SearchSpace, architecture: Architecture, width: int, odd: int) -> Architecture:
    """Quantise every other part of an architecture."""
    part = count(odd)

    def choose(choices: tuple[str | int, ...]) -> str | int:
        integers = [bits for bits in choices if bits != "fp"]
        return "fp" if next(part) % 2 or not integers else width if width in integers else integers[0]

    return with_bits(space, architecture, choose)


def run_and_set(supernet: Supernet, architecture: Architecture, width: int, images: Tensor) -> None:
    """Run a subnet operator by operator, each setting its steps of one bit-width by what it sees."""
    x = resize(images, architecture.resolution)
    for name, op in placed_operators(architecture, supernet.space.num_classes):
        slices = supernet.slices(name, op, True)
        kept = {key: value.clone() for key, value in supernet.shared[name].named_buffers()}
        with initialised(slices.skeleton, width=width):
            x = slices.run(x, {})
        for key, value in supernet.shared[name].named_buffers():
            value.copy_(kept[key])
