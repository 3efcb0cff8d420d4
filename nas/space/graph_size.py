"""What an exported file stores beside weights: nodes, the headers of tensors, tables of scans, in bytes by formula.

The figures are those of exported operators of each kind, which `tests/export/test_size.py` holds them to; they do not
depend on widths. In a network of 8-bit codes they are up to a seventh of the file.
"""

from __future__ import annotations

from nas.space.architecture import Bits
from nas.space.chunks import chunk_count
from nas.space.kinds import scope_side
from nas.space.operator import Operator, halve
from nas.space.scan import QUADRATIC_MAX_TOKENS

INDEX_BYTES = FLOAT_BYTES = 4
# Kind -> bytes in float, and how many more codes of 8 and of 4 bits need: scales, Q/DQ pairs, the widening of 4 bits.
GRAPH_BYTES: dict[str, tuple[int, int, int]] = {
    "stem": (178, 143, 232),
    "double-stem": (347, 290, 468),
    "patch-stem": (198, 233, 329),
    "downsample": (179, 143, 232),
    "widen": (179, 142, 231),
    "head": (290, 315, 410),  # with what a file has once
    "basic": (373, 360, 539),
    "conv": (529, 534, 797),
    "large-kernel": (1344, 1182, 1614),
    "pool": (607, 576, 754),
    "gated-conv": (930, 897, 1246),
    "ssd": (2160, 1460, 2055),
    "nc-ssd": (2010, 1448, 2040),
    "multiscale": (4100, 1720, 2450),
    "state-fusion": (2960, 1440, 2035),
    "hsm": (1450, 577, 757),
    "attention": (1480, 1369, 1886),
    "quantize": (0, 88, 88),
    "dequantize": (0, 0, 0),
}
SETS_BYTES, PADDING_BYTES = 530, 160  # of an attention that is not global; where sets at the border are filled up
QUADRATIC_BYTES, GROUPED_BYTES = 440, 75  # of one direction in all pairs of tokens; where heads have directions
CHUNKED_BYTES, CHUNK_BYTES = 1549, 173  # of one scan in chunks, and of each chunk


def graph_bytes(op: Operator) -> int:
    """Give the bytes of one operator that are neither weights nor their scales."""
    in_float, eight, four = GRAPH_BYTES[op.kind]
    more: dict[Bits, int] = {"fp": 0, 8: eight, 4: four}
    return in_float + more[op.bits] + scans_bytes(op) + sets_bytes(op)


def scans_bytes(op: Operator) -> int:
    """Give the bytes of all scans of an operator; 0 for one that does not scan."""
    settings = dict(op.settings)
    if "directions" not in settings:
        return 0
    first, *others = directions = op["directions"]
    if op.kind == "multiscale":
        return scan_bytes((first,), op.grid, False) + scan_bytes(tuple(others), halve(op.grid), False)
    return scan_bytes(directions, op.grid, settings.get("mode") == "group" and len(others) > 0)


def scan_bytes(directions: tuple[str, ...], grid: int, grouped: bool) -> int:
    """Give the bytes of a scan of a grid: its nodes, and an index per token and direction, two where it is grouped."""
    tokens, count = grid * grid, len(directions)
    if tokens <= QUADRATIC_MAX_TOKENS:
        return count * (QUADRATIC_BYTES + GROUPED_BYTES * grouped + INDEX_BYTES * tokens)
    chunks = [directions] if grouped else [(name,) for name in directions]
    nodes = sum(CHUNKED_BYTES + CHUNK_BYTES * chunk_count(each, grid, grid) for each in chunks)
    return nodes + INDEX_BYTES * tokens * count * (1 + grouped)


def sets_bytes(op: Operator) -> int:
    """Give the bytes that sort the tokens of an attention into sets; 0 where all attend to all."""
    side = scope_side(op["scope"]) if op.kind == "attention" else None
    if side is None:
        return 0
    side = min(side, op.grid)
    tokens, filled = op.grid**2, (-(-op.grid // side) * side) ** 2
    padding = PADDING_BYTES + FLOAT_BYTES * filled if filled > tokens else 0
    return SETS_BYTES + INDEX_BYTES * (tokens + filled) + padding
