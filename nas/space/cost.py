"""Exact parameters, multiply-accumulates (MACs), bytes and bit operations of an architecture, by formula.

Counted on the network as it is deployed: with folded norms. MACs are those of convolutions and matrix products;
element-wise work (exponentials, norms, gates, pooling) is not counted, as in every published figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.space.architecture import Architecture
from nas.space.chunks import chunk_count, chunk_size
from nas.space.kinds import BRANCHES, hidden_width, scope_side
from nas.space.operator import Operator, halve, operators
from nas.space.scan import QUADRATIC_MAX_TOKENS

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


def double_stem_cost(op: Operator) -> Cost:
    """Cost of two 3x3 stride-2 convolutions, the first half as wide."""
    middle, grid = halve(op.out_channels), halve(op.grid)
    return conv_cost(op.in_channels, middle, 3, grid) + conv_cost(middle, op.out_channels, 3, halve(grid))


def patch_stem_cost(op: Operator) -> Cost:
    """Cost of a convolution without overlap and of one position per token and channel."""
    grid = op.grid // op["patch"]
    return conv_cost(op.in_channels, op.out_channels, op["patch"], grid) + Cost(op.out_channels * grid * grid, 0)


def widen_cost(op: Operator) -> Cost:
    """Cost of a 1x1 convolution."""
    return conv_cost(op.in_channels, op.out_channels, 1, op.grid)


def head_cost(op: Operator) -> Cost:
    """Cost of the classifier."""
    return linear_cost(op.in_channels, op.out_channels, 1)


def basic_cost(op: Operator) -> Cost:
    """Cost of two dense 3x3 convolutions."""
    one = conv_cost(op.in_channels, op.out_channels, 3, op.grid)
    return one + one


def bottleneck_cost(op: Operator) -> Cost:
    """Cost of an inverted bottleneck."""
    hidden = hidden_width(op.in_channels, op["expansion"])
    depthwise = conv_cost(hidden, hidden, op["kernel"], op.grid, groups=hidden)
    return mlp_cost(op) + depthwise


def mlp_cost(op: Operator) -> Cost:
    """Cost of two 1x1 convolutions, or Linear layers, through the hidden width."""
    hidden, tokens = hidden_width(op.in_channels, op["expansion"]), op.grid * op.grid
    return linear_cost(op.in_channels, hidden, tokens) + linear_cost(hidden, op.out_channels, tokens)


def large_kernel_cost(op: Operator) -> Cost:
    """Cost of a square, a row and a column on parts of the channels, and of the MLP."""
    weights = op.in_channels // BRANCHES * (op["kernel"] ** 2 + 2 * op["band"])
    return mlp_cost(op) + Cost(weights, weights * op.grid * op.grid)


def pool_cost(op: Operator) -> Cost:
    """Cost of a factor and a summand per channel, and of the MLP."""
    return mlp_cost(op) + Cost(2 * op.in_channels, 0)


def gated_cost(op: Operator) -> Cost:
    """Cost of the frame of the gated family: all there is to a gated convolution."""
    width, inner = op.in_channels, hidden_width(op.in_channels, op["expansion"])
    linear = linear_cost(width, inner, op.grid * op.grid, bias=False)
    depthwise = conv_cost(inner, inner, op["kernel"], op.grid, groups=inner)
    return linear + linear + linear + depthwise + Cost(2 * width, 0)  # the norm


def selection_cost(op: Operator, state: int) -> Cost:
    """Cost of a state-space core's B, C and dt, and of the two numbers that every head has beside them."""
    chosen = linear_cost(op.in_channels, 2 * state + op["heads"], op.grid * op.grid, bias=False)
    return chosen + Cost(2 * op["heads"], 0)  # dt_bias and skip


def scan_cost(op: Operator, state: int, grid: int, directions: tuple[str, ...], mode: str = "sum") -> Cost:
    """Cost of a scan, in the form that its number of tokens selects."""
    inner, tokens = hidden_width(op.in_channels, op["expansion"]), grid * grid
    if tokens <= QUADRATIC_MAX_TOKENS:
        scan_macs = tokens * tokens * (state + inner)
    else:
        size = chunk_size(tokens)
        gram, rest = size**2 * state, size * inner * (size + 2 * state)
        if mode == "group":  # folded into the batch, so all have as many chunks
            scan_macs = chunk_count(directions, grid, grid) * (gram * len(directions) + rest)
        else:
            scan_macs = sum(chunk_count((name,), grid, grid) for name in directions) * (gram + rest)
    return Cost(0, scan_macs)


def ssd_cost(op: Operator) -> Cost:
    """Cost of the gated state-space mixer."""
    directions = op["directions"]
    mode = op["mode"] if len(directions) > 1 else "sum"
    scan = scan_cost(op, op["state"], op.grid, directions, mode) + decay_cost(op)
    return gated_cost(op) + selection_cost(op, op["state"]) + scan


def decay_cost(op: Operator) -> Cost:
    """Parameters of the decay: one number per head, and one per direction and head."""
    return Cost(op["heads"] * (1 + len(op["directions"])), 0)


def non_causal_cost(op: Operator) -> Cost:
    """Cost of a gated mixer through one state for all tokens."""
    inner = hidden_width(op.in_channels, op["expansion"])
    mixed = Cost(op["heads"], 2 * op.grid * op.grid * op["state"] * inner)  # the gain of each head
    return gated_cost(op) + selection_cost(op, op["state"]) + mixed


def multiscale_cost(op: Operator) -> Cost:
    """Cost of a gated mixer that scans once at full and otherwise at half resolution."""
    inner, half, (first, *others) = hidden_width(op.in_channels, op["expansion"]), halve(op.grid), op["directions"]
    fine = scan_cost(op, op["state"], op.grid, (first,))
    coarse = conv_cost(inner, inner, op["kernel"], half, groups=inner)
    coarse += scan_cost(op, op["state"], half, tuple(others))
    return gated_cost(op) + selection_cost(op, op["state"]) + decay_cost(op) + fine + coarse


def state_fusion_cost(op: Operator) -> Cost:
    """Cost of a gated mixer that scans with one state and fuses the states by three 3x3 depthwise convolutions."""
    weights = 3 * 9 * hidden_width(op.in_channels, op["expansion"])
    fused = Cost(weights, weights * op.grid * op.grid)
    scan = scan_cost(op, 1, op.grid, op["directions"]) + decay_cost(op)
    return gated_cost(op) + selection_cost(op, 1) + scan + fused


def hidden_state_cost(op: Operator) -> Cost:
    """Cost of a mixer whose gate and projections run on its states."""
    width, state, tokens = op.in_channels, op["state"], op.grid * op.grid
    inner = hidden_width(width, op["expansion"])
    linear = linear_cost(width, inner, state, bias=False)
    selected = linear_cost(width, 3 * state, tokens, bias=False)
    selected += conv_cost(3 * state, 3 * state, op["kernel"], op.grid, groups=3 * state)
    vectors = 2 * width + 1  # the norm and the skip connection
    return selected + linear + linear + linear + Cost(vectors, 2 * tokens * state * width)


def attention_cost(op: Operator) -> Cost:
    """Cost of attention within its scope and of the MLP."""
    width, side = op.in_channels, scope_side(op["scope"])
    side = op.grid if side is None else min(side, op.grid)
    sets = (-(-op.grid // side)) ** 2  # those at the border are filled up
    read = linear_cost(width, width, sets * side**2)
    out = linear_cost(width, width, op.grid * op.grid)
    return mlp_cost(op) + read + read + read + out + Cost(4 * width, 2 * sets * side**4 * width)


COSTS: dict[str, Callable[[Operator], Cost]] = {
    "stem": stem_cost,
    "double-stem": double_stem_cost,
    "patch-stem": patch_stem_cost,
    "downsample": stem_cost,
    "widen": widen_cost,
    "head": head_cost,
    "basic": basic_cost,
    "conv": bottleneck_cost,
    "large-kernel": large_kernel_cost,
    "pool": pool_cost,
    "gated-conv": gated_cost,
    "ssd": ssd_cost,
    "nc-ssd": non_causal_cost,
    "multiscale": multiscale_cost,
    "state-fusion": state_fusion_cost,
    "hsm": hidden_state_cost,
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
