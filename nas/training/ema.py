"""A moving average of weights, which generalises better than the weights themselves late in training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a module's parameters, by name, over about `window` steps (1: the last alone)."""

    def __init__(self, module: nn.Module, window: float) -> None:
        self.module, self.decay, self.updates = module, 1 - 1 / max(1.0, window), 0
        self.parameters = dict(module.named_parameters())
        self.tensors = {name: tensor.detach().clone() for name, tensor in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the module's weights: by 1 - `decay`, faster in the first updates."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.tensors.values()), list(self.parameters.values()), 1 - decay)

    @torch.no_grad()
    def follow(self, part: str) -> None:
        """Take over, as they are, the parameters that have `part` in their names."""
        for name, parameter in self.parameters.items():
            if part in name:
                self.tensors[name].copy_(parameter)

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Continue from saved averages."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.updates = updates

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters together with the module's own buffers."""
        return {**self.module.state_dict(), **self.tensors}
