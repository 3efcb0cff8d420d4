"""Processes that train one supernet together, each on its share of every batch, as one process would on all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process of `count`, the `rank`-th; joined by torch.distributed's default group, where there are several.

    A share is every `count`-th image, so that equal parts of shares are shares of equal parts of the batch.
    """

    rank: int = 0
    count: int = 1

    @property
    def share(self) -> slice:
        """Return which images of a batch are this process's."""
        return slice(self.rank, None, self.count)

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean over all processes, the same bits in each; gradients flow through it."""
        return tensor if self.count == 1 else cast(Tensor, Mean.apply(tensor, self.count))

    def whole(self, share: Tensor) -> Tensor:
        """Return the batch [n, ...], in its order, of which every process has a share [n / count, ...]."""
        if self.count == 1:
            return share
        shares = [torch.empty_like(share) for _ in range(self.count)]
        dist.all_gather(shares, share)
        return torch.stack(shares, 1).flatten(0, 1)

    @torch.no_grad()
    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their means over all processes, which have trained the same subnets."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1:
            return
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))


SINGLE_PROCESS = Ranks()


class Mean(torch.autograd.Function):
    """The mean over processes of a sum of all their losses: its gradient is the mean of theirs."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, count: int) -> Tensor:
        """Add up what every process has."""
        ctx.count = count
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Add up what every process's loss asks for."""
        return cast(Tensor, Mean.apply(grads[0], ctx.count)), None
