"""Exact parameters, multiply-accumulates (MACs), bytes and bit operations of an architecture, by formula.

Counted on the network as it is deployed: norms folded into convolutions. MACs are those of convolutions and matrix
products; element-wise work (exponentials, norms, gates) is not counted, as in every published figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.space.architecture import Architecture
from nas.space.operator import Operator, halve, operators
from nas.space.scan import CHUNK_TOKENS, QUADRATIC_MAX_TOKENS

FLOAT_BITS = 32


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operator or a network holds and does for one image."""

    num_params: int
    macs: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.num_params + other.num_params, self.macs + other.macs)

    @property
    def size_bytes(self) -> int:
        """Bytes of the stored weights."""
        return self.num_params * FLOAT_BITS // 8

    @property
    def bitops(self) -> int:
        """MACs times the bits of both factors."""
        return self.macs * FLOAT_BITS * FLOAT_BITS


def conv_cost(in_channels: int, out_channels: int, kernel: int, grid: int, groups: int = 1) -> Cost:
    """Cost of a convolution with bias; `grid` is the side of its output."""
    weights = out_channels * (in_channels // groups) * kernel * kernel
    return Cost(weights + out_channels, weights * grid * grid)


def linear_cost(in_features: int, out_features: int, tokens: int, bias: bool = True) -> Cost:
    """Cost of a Linear layer applied to each token."""
    weights = in_features * out_features
    return Cost(weights + out_features * bias, weights * tokens)


def stem_cost(op: Operator) -> Cost:
    """Cost of a 3x3 stride-2 convolution; also that of a downsampling."""
    return conv_cost(op.in_channels, op.out_channels, 3, halve(op.grid))


def head_cost(op: Operator) -> Cost:
    """Cost of the classifier."""
    return linear_cost(op.in_channels, op.out_channels, 1)


def basic_cost(op: Operator) -> Cost:
    """Cost of two dense 3x3 convolutions."""
    one = conv_cost(op.in_channels, op.out_channels, 3, op.grid)
    return one + one


def bottleneck_cost(op: Operator) -> Cost:
    """Cost of an inverted bottleneck; a gated one has a second expansion, its gate."""
    hidden = op.in_channels * op["expansion"]
    expand = conv_cost(op.in_channels, hidden, 1, op.grid)
    depthwise = conv_cost(hidden, hidden, op["kernel"], op.grid, groups=hidden)
    gate = expand if op.kind == "gated-conv" else Cost(0, 0)
    return expand + gate + depthwise + conv_cost(hidden, op.out_channels, 1, op.grid)


def ssd_cost(op: Operator) -> Cost:
    """Cost of the gated state-space mixer, in the form that its number of tokens selects."""
    width, heads, state, directions = op.in_channels, op["heads"], op["state"], op["directions"]
    inner, tokens = width * op["expansion"], op.grid * op.grid
    linears = [(width, inner), (width, inner), (inner, width), (width, state), (width, state), (width, heads)]
    total = conv_cost(inner, inner, op["kernel"], op.grid, groups=inner)
    for in_features, out_features in linears:
        total += linear_cost(in_features, out_features, tokens, bias=False)
    if tokens <= QUADRATIC_MAX_TOKENS:
        scan_macs = tokens * tokens * (state + inner)
    else:
        chunks = -(-tokens // CHUNK_TOKENS)
        gram, rest = CHUNK_TOKENS**2 * state, CHUNK_TOKENS * inner * (CHUNK_TOKENS + 2 * state)
        grouped = len(directions) > 1 and op["mode"] == "group"
        scan_macs = chunks * (gram * len(directions) + rest * (1 if grouped else len(directions)))
    vectors = 2 * width + inner + heads * (3 + len(directions))  # norms; dt_bias, a_log, skip and log_scale
    return total + Cost(vectors, scan_macs)


def attention_cost(op: Operator) -> Cost:
    """Cost of attention over all tokens and its MLP."""
    width, tokens = op.in_channels, op.grid * op.grid
    hidden = width * op["expansion"]
    total = linear_cost(width, hidden, tokens) + linear_cost(hidden, width, tokens)
    for _ in range(4):
        total += linear_cost(width, width, tokens)
    return total + Cost(4 * width, 2 * tokens * tokens * width)


COSTS: dict[str, Callable[[Operator], Cost]] = {
    "stem": stem_cost,
    "downsample": stem_cost,
    "head": head_cost,
    "basic": basic_cost,
    "conv": bottleneck_cost,
    "gated-conv": bottleneck_cost,
    "ssd": ssd_cost,
    "attention": attention_cost,
}


def operator_cost(op: Operator) -> Cost:
    """Cost of one operator."""
    return COSTS[op.kind](op)


def architecture_cost(architecture: Architecture, num_classes: int) -> Cost:
    """Cost of a whole network: the sum over its operators."""
    return sum((operator_cost(op) for op in operators(architecture, num_classes)), Cost(0, 0))


def num_params(op: Operator) -> int:
    """Parameters of one operator."""
    return operator_cost(op).num_params


def macs(op: Operator) -> int:
    """MACs of one operator for one image."""
    return operator_cost(op).macs
