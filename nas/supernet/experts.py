"""Several sets of the shared weights, mixed for each operator by its sizes (Jawahar et al. 2023, arXiv 2306.04845)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from nas.space.architecture import Setting
from nas.space.operator import Operator
from nas.supernet.slicing import take_slice

Features = tuple[float, ...]


class Experts(nn.Module):
    """A mixture of supernets: `w + sum over e of share_e(operator) * delta_e`, for weights of two axes and more.

    A router per shared module turns an operator's sizes, as parts of the largest ones, into shares that add up to one
    with that of the shared weights themselves. Differences begin at zero: a subnet is then what it would be without
    them. Routers begin random, else all experts would learn the same.
    """

    def __init__(self, shared: nn.ModuleDict, largest: Mapping[str, Operator], count: int) -> None:
        super().__init__()
        self.largest = dict(largest)
        self.deltas, self.routers = nn.ParameterDict(), nn.ModuleDict()
        for module, part in shared.items():
            names = [name for name, tensor in part.named_parameters() if tensor.dim() >= 2]
            for name in names:
                like = part.get_parameter(name)
                for expert in range(1, count):
                    self.deltas[key_of(module, name, expert)] = nn.Parameter(torch.zeros_like(like))
            if names:
                self.routers[module] = make_router(len(features(largest[module], largest[module])), count)

    def shares(self, module: str, op: Operator) -> Tensor:
        """Return how much of each difference [experts - 1] an operator takes."""
        router = cast(nn.Linear, self.routers[module])
        return torch.softmax(router(router.weight.new_tensor(features(op, self.largest[module]))), 0)[1:]

    def mixed(self, module: str, name: str, sliced: Tensor, shares: Tensor) -> Tensor:
        """Add to a slice of a shared tensor what the experts differ by."""
        for expert, share in enumerate(shares, start=1):
            if (key := key_of(module, name, expert)) in self.deltas:
                sliced = sliced + share * take_slice(self.deltas[key], sliced.shape)
        return sliced


def make_router(num_features: int, count: int) -> nn.Linear:
    """Make a router whose logits differ between experts and operators from the start."""
    made = nn.Linear(num_features, count)
    nn.init.normal_(made.weight)
    nn.init.zeros_(made.bias)
    return made


def features(op: Operator, largest: Operator) -> Features:
    """Describe an operator by its sizes as parts of those that its shared module was built for; all in (0, 1].

    `op.grid` is not known to the module: it goes in as 1 / grid.
    """
    settings = [sized(op[name]) / sized(value) for name, value in largest.settings if not isinstance(value, str)]
    return (op.in_channels / largest.in_channels, op.out_channels / largest.out_channels, 1 / op.grid, *settings)


def sized(setting: Setting) -> float:
    """Return a number for a setting: itself, or how many there are of several."""
    return float(len(setting) if isinstance(setting, tuple) else setting)


def key_of(module: str, name: str, expert: int) -> str:
    """Name what an expert differs by in a tensor; a parameter's own name may hold no dots."""
    return f"{module}/{name.replace('.', '/')}/{expert}"


def count_experts(state: Iterable[str]) -> int:
    """Count the sets of weights of a supernet by the names of its tensors."""
    numbers = {int(name.rpartition("/")[2]) for name in state if name.startswith("experts.deltas.")}
    return 1 + len(numbers)
