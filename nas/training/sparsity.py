"""N:M sparsity: of every M weights in a row of a Linear layer N stay; which, is learned together with the weights.

Learning best combinations (Zhang et al. 2022, arXiv 2206.06662): every group of M has a score for each combination of
N; those of the lowest scores leave one after the other, until one is left.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nas.errors import NasError

DONE = 0.5  # share of the training after which one combination is left; the rest trains what stays


def parse_sparsity(text: str) -> tuple[int, int]:
    """Read `2:4`; `NasError` for anything that is no N:M with N < M."""
    kept, colon, group = text.partition(":")
    if not (colon and kept.isdigit() and group.isdigit() and 0 < int(kept) < int(group) <= 16):
        raise NasError(
            f"'{text}' is no sparsity", "Write for example --set sparsity=2:4, two of every four weights stay"
        )
    return int(kept), int(group)


class Combinations(nn.Module):
    """A parametrization of a weight [out, in] that leaves N of every M along `in`; `in` must be whole groups."""

    masks: Tensor

    def __init__(self, weight: Tensor, kept: int, group: int) -> None:
        super().__init__()
        chosen = torch.tensor(list(combinations(range(group), kept)))
        masks = torch.zeros(len(chosen), group).scatter_(1, chosen, 1.0)
        self.register_buffer("masks", masks)  # [combinations, M]
        self.scores = nn.Parameter(weight.detach().abs().view(len(weight), -1, group) @ masks.T)  # [out, groups, c]
        self.left = len(masks)  # combinations of each group that are still allowed

    def narrow(self, share: float) -> None:
        """Set how many combinations are left after a share of the training, by a cubic that ends at one."""
        rest = max(0.0, 1 - share / DONE) ** 3
        self.left = 1 + math.ceil((len(self.masks) - 1) * rest)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with what no combination that is left keeps set to 0.

        A score has the gradient that it would have if its combination's share of the mask were the score itself.
        """
        alive = torch.zeros_like(self.scores).scatter_(2, self.scores.topk(self.left, dim=2).indices, 1.0)
        kept = ((alive @ self.masks) > 0).to(weight.dtype)
        soft = (alive * self.scores) @ self.masks
        return weight * (kept + (soft - soft.detach())).view_as(weight)


def sparsify(model: nn.Module, sparsity: str) -> list[Combinations]:
    """Make the weights of all Linear layers whose rows are whole groups learn their combinations; none for ''."""
    if not sparsity:
        return []
    kept, group = parse_sparsity(sparsity)
    layers = []
    for layer in [part for part in model.modules() if isinstance(part, nn.Linear) and part.in_features % group == 0]:
        layers.append(Combinations(layer.weight, kept, group))
        parametrize.register_parametrization(layer, "weight", layers[-1])
    return layers


def settle(model: nn.Module) -> nn.Module:
    """Turn what was learned into plain weights with zeros, in place; return the model."""
    for part in list(model.modules()):
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
    return model
