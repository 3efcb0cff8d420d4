"""LayerScale: every residual branch starts small, each of its channels by a factor that is learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.nn.layers import Linear
from nas.nn.quantizer import TensorQuantizer
from nas.space.architecture import Bits

# The factor that the residual branches of every kind start from, so that none of them drowns the others. Of 0.1, 0.3
# and 1.0 it gave the lowest mean loss over the kinds, in the first 250 steps of networks of a single kind.
LAYER_SCALE = 0.3


class ScaledLinear(nn.Module):
    """A Linear layer, then one factor per output channel (Touvron et al. 2021, arXiv 2103.17239).

    `fold` turns the pair into one Linear layer.
    """

    scale: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, bits: Bits = "fp") -> None:
        super().__init__()
        self.linear = Linear(in_features, out_features, bias, bits=bits, quantize_output=False)
        self.scale = nn.Parameter(torch.full((out_features,), LAYER_SCALE))
        self.output = TensorQuantizer(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        y = self.linear(x)
        return self.output(y if self.scale is None else y * self.scale)

    @torch.no_grad()
    def fold(self) -> None:
        """Put the factors into the Linear layer."""
        if self.scale is None:
            return
        self.linear.weight.mul_(self.scale[:, None])
        self.linear.weight_quantizer.rescale(self.scale)
        if self.linear.bias is not None:
            self.linear.bias.mul_(self.scale)
        self.scale = None
