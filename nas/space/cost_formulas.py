"""Exact parameters, multiply-accumulates (MACs), bytes and bit operations of an operator of each kind, by formula.

They are counted on the operator as it is deployed, with folded norms. MACs are counted in convolutions and matrix
products. Element-wise work (exponentials, norms, gates, pooling) is not counted, as in every published figure.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.space.architecture import Bits
from nas.space.chunks import chunk_count, chunk_size
from nas.space.merge_mode import effective_mode
from nas.space.operator import ACTIVATION_BITS, Operator, halve
from nas.space.scan import QUADRATIC_MAX_TOKENS
from nas.space.settings import BRANCHES, hidden_width, scope_side

FLOAT_BITS, FLOAT_BYTES = 32, 4  # of a scale as well; zero points are stored once for all


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operator or a network holds and does for one image.

    `size_bytes` is what a file stores: weights by their bits, scales, the rest in float, and the graph itself
    (`nas.space.graph_size`). `bitops` are MACs times the bits of both factors.
    """

    num_params: int
    macs: int
    size_bytes: int
    bitops: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.num_params + other.num_params,
            self.macs + other.macs,
            self.size_bytes + other.size_bytes,
            self.bitops + other.bitops,
        )


NOTHING = Cost(0, 0, 0, 0)


def floats(num_params: int, macs: int = 0) -> Cost:
    """Cost of numbers that stay float, and of MACs on such."""
    return Cost(num_params, macs, num_params * FLOAT_BYTES, macs * FLOAT_BITS * FLOAT_BITS)


def tensors(count: int, bits: Bits) -> Cost:
    """Cost of the scales of `count` activations; nothing in float."""
    return NOTHING if bits == "fp" else Cost(0, 0, count * FLOAT_BYTES, 0)


def layer_cost(weights: int, channels: int, macs: int, bias: bool, bits: Bits) -> Cost:
    """Cost of a layer's weights, of their scales, of its float bias and of its output's scale."""
    rest = floats(channels * bias) + tensors(1, bits)
    if bits == "fp":
        return floats(weights, macs) + rest
    assert isinstance(bits, int)
    stored = -(-weights * bits // 8) + channels * FLOAT_BYTES
    return Cost(weights, macs, stored, macs * bits * ACTIVATION_BITS) + rest


def conv_cost(
    in_channels: int,
    out_channels: int,
    kernel: int,
    grid: int,
    bits: Bits = "fp",
    *,
    groups: int = 1,
    bias: bool = True,
) -> Cost:
    """Cost of a convolution; `grid` is the side of its output."""
    weights = out_channels * (in_channels // groups) * kernel * kernel
    return layer_cost(weights, out_channels, weights * grid * grid, bias, bits)


def linear_cost(in_features: int, out_features: int, tokens: int, bits: Bits = "fp", *, bias: bool = True) -> Cost:
    """Cost of a Linear layer applied to each token."""
    weights = in_features * out_features
    return layer_cost(weights, out_features, weights * tokens, bias, bits)


def stem_cost(op: Operator) -> Cost:
    """Cost of a 3x3 stride-2 convolution; also that of a downsampling."""
    return conv_cost(op.in_channels, op.out_channels, 3, halve(op.grid), op.bits)


def double_stem_cost(op: Operator) -> Cost:
    """Cost of two 3x3 stride-2 convolutions, the first half as wide."""
    middle, grid = halve(op.out_channels), halve(op.grid)
    first = conv_cost(op.in_channels, middle, 3, grid, op.bits)
    return first + conv_cost(middle, op.out_channels, 3, halve(grid), op.bits)


def patch_stem_cost(op: Operator) -> Cost:
    """Cost of a convolution without overlap and of one position per token and channel."""
    grid = op.grid // op["patch"]
    patches = conv_cost(op.in_channels, op.out_channels, op["patch"], grid, op.bits)
    return patches + floats(op.out_channels * grid * grid) + tensors(1, op.bits)


def widen_cost(op: Operator) -> Cost:
    """Cost of a 1x1 convolution."""
    return conv_cost(op.in_channels, op.out_channels, 1, op.grid, op.bits)


def head_cost(op: Operator) -> Cost:
    """Cost of the classifier."""
    return linear_cost(op.in_channels, op.out_channels, 1, op.bits) + tensors(1, op.bits)


def quantize_cost(op: Operator) -> Cost:
    """Cost of one scale."""
    return tensors(1, op.bits)


def dequantize_cost(op: Operator) -> Cost:
    """Cost of nothing: the scale is counted where the integer values come from."""
    return NOTHING


def basic_cost(op: Operator) -> Cost:
    """Cost of two dense 3x3 convolutions."""
    one = conv_cost(op.in_channels, op.out_channels, 3, op.grid, op.bits)
    return one + one + tensors(1, op.bits)


def bottleneck_cost(op: Operator) -> Cost:
    """Cost of an inverted bottleneck."""
    hidden = hidden_width(op.in_channels, op["expansion"])
    depthwise = conv_cost(hidden, hidden, op["kernel"], op.grid, op.bits, groups=hidden)
    return mlp_cost(op) + depthwise


def mlp_cost(op: Operator) -> Cost:
    """Cost of two 1x1 convolutions, or Linear layers, through the hidden width, and of the sum with what went in."""
    hidden, tokens = hidden_width(op.in_channels, op["expansion"]), op.grid * op.grid
    layers = linear_cost(op.in_channels, hidden, tokens, op.bits) + linear_cost(
        hidden, op.out_channels, tokens, op.bits
    )
    return layers + tensors(1, op.bits)


def large_kernel_cost(op: Operator) -> Cost:
    """Cost of a square, a row and a column on parts of the channels, and of the MLP."""
    part, area = op.in_channels // BRANCHES, op.grid * op.grid
    sizes = (part * op["kernel"] ** 2, part * op["band"], part * op["band"])
    branches = (layer_cost(weights, part, weights * area, False, op.bits) for weights in sizes)
    return sum(branches, mlp_cost(op) + tensors(1, op.bits))


def pool_cost(op: Operator) -> Cost:
    """Cost of a factor and a summand per channel, and of the MLP."""
    return mlp_cost(op) + floats(2 * op.in_channels) + tensors(2, op.bits)


def gated_cost(op: Operator) -> Cost:
    """Cost of the frame of the gated family: all there is to a gated convolution."""
    width, inner = op.in_channels, hidden_width(op.in_channels, op["expansion"])
    tokens = op.grid * op.grid
    linear = linear_cost(width, inner, tokens, op.bits, bias=False)
    out = linear_cost(inner, width, tokens, op.bits, bias=False)
    depthwise = conv_cost(inner, inner, op["kernel"], op.grid, op.bits, groups=inner)
    return linear + linear + out + depthwise + floats(2 * width) + tensors(3, op.bits)  # the norm; before each, the sum


def selection_cost(op: Operator, state: int) -> Cost:
    """Cost of a state-space core's B, C and dt, and of the two numbers that every head has beside them."""
    chosen = linear_cost(op.in_channels, 2 * state + op["heads"], op.grid * op.grid, op.bits, bias=False)
    smoothing = 0 if op.bits == "fp" else hidden_width(op.in_channels, op["expansion"])  # of the gated channels
    return chosen + tensors(2, op.bits) + floats(2 * op["heads"] + smoothing)  # dt_bias and skip


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
    return floats(0, scan_macs)


def ssd_cost(op: Operator) -> Cost:
    """Cost of the gated state-space mixer."""
    mode = effective_mode(dict(op.settings))
    scan = scan_cost(op, op["state"], op.grid, op["directions"], mode) + decay_cost(op)
    return gated_cost(op) + selection_cost(op, op["state"]) + scan


def decay_cost(op: Operator) -> Cost:
    """Parameters of the decay: one number per head, and one per direction and head."""
    return floats(op["heads"] * (1 + len(op["directions"])))


def non_causal_cost(op: Operator) -> Cost:
    """Cost of a gated mixer through one state for all tokens."""
    inner = hidden_width(op.in_channels, op["expansion"])
    mixed = floats(op["heads"], 2 * op.grid * op.grid * op["state"] * inner)  # the gain of each head
    return gated_cost(op) + selection_cost(op, op["state"]) + mixed


def multiscale_cost(op: Operator) -> Cost:
    """Cost of a gated mixer that scans once at full and otherwise at half resolution."""
    inner, half, (first, *others) = hidden_width(op.in_channels, op["expansion"]), halve(op.grid), op["directions"]
    fine = scan_cost(op, op["state"], op.grid, (first,))
    coarse = conv_cost(inner, inner, op["kernel"], half, op.bits, groups=inner) + tensors(1, op.bits)
    coarse += scan_cost(op, op["state"], half, tuple(others))
    return gated_cost(op) + selection_cost(op, op["state"]) + decay_cost(op) + fine + coarse


def state_fusion_cost(op: Operator) -> Cost:
    """Cost of a gated mixer that scans with one state and fuses the states by three 3x3 depthwise convolutions."""
    weights = 3 * 9 * hidden_width(op.in_channels, op["expansion"])
    fused = floats(weights, weights * op.grid * op.grid)
    scan = scan_cost(op, 1, op.grid, op["directions"]) + decay_cost(op)
    return gated_cost(op) + selection_cost(op, 1) + scan + fused


def hidden_state_cost(op: Operator) -> Cost:
    """Cost of a mixer whose gate and projections run on its states."""
    width, state, tokens = op.in_channels, op["state"], op.grid * op.grid
    inner = hidden_width(width, op["expansion"])
    linear = linear_cost(width, inner, state, bias=False)
    selected = linear_cost(width, 3 * state, tokens, op.bits, bias=False)
    selected += conv_cost(3 * state, 3 * state, op["kernel"], op.grid, op.bits, groups=3 * state) + tensors(3, op.bits)
    vectors = 2 * width + 1  # the norm and the skip connection
    return selected + linear + linear + linear + floats(vectors, 2 * tokens * state * width)


def attention_cost(op: Operator) -> Cost:
    """Cost of attention within its scope and of the MLP."""
    width, side = op.in_channels, scope_side(op["scope"])
    side = op.grid if side is None else min(side, op.grid)
    sets = (-(-op.grid // side)) ** 2  # sets at the border are filled up
    read = linear_cost(width, width, sets * side**2, op.bits)
    out = linear_cost(width, width, op.grid * op.grid, op.bits)
    rest = floats(4 * width, 2 * sets * side**4 * width) + tensors(4, op.bits)
    return mlp_cost(op) + read + read + read + out + rest
