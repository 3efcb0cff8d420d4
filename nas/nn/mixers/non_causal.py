"""A core without a scan: every token reads one state that all tokens wrote."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.nn.mixers.state_space import StateSpaceCore, by_head
from nas.space.operator import Operator


class NonCausalCore(StateSpaceCore):
    """Non-causal state-space duality (Shi et al. 2024, VSSD): `y = C B^T (m * x)`, linear in the tokens.

    A token's share is `m = w dt / (sum of dt over the tokens)`: what a head writes does not grow with the grid.
    """

    def __init__(self, op: Operator) -> None:
        super().__init__(op, op["state"])
        self.gain = nn.Parameter(torch.ones(self.heads))

    def mix(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor) -> Tensor:
        """Write all tokens into one state [b, inner, N], then read it with every token."""
        share = self.gain * dt / dt.sum(1, keepdim=True)
        weighted = (by_head(x, self.heads) * share.transpose(1, 2)[:, None]).flatten(1, 2)
        return (weighted @ b @ c.transpose(1, 2)).unflatten(1, (-1, self.heads))
