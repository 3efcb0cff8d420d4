"""What an exported file stores beside weights: nodes, the headers of tensors, tables of scans, in bytes by formula.

The figures were read from exported operators of each kind; `tests/export/test_size.py` holds them to it. They do not
depend on widths. In a network of 8-bit weights they are up to a seventh of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.space.architecture import Bits
from nas.space.chunks import chunk_count
from nas.space.merge_mode import effective_mode
from nas.space.operator import Operator, halve
from nas.space.scan import QUADRATIC_MAX_TOKENS
from nas.space.settings import scope_side

INDEX_BYTES = FLOAT_BYTES = 4
SETS_BYTES, PADDING_BYTES = 530, 160  # of an attention that is not global; where sets at the border are filled up
QUADRATIC_BYTES, GROUPED_BYTES = 440, 75  # of one direction in all pairs of tokens; where heads have directions
CHUNKED_BYTES, CHUNK_BYTES = 1549, 173  # of one scan in chunks, and of each chunk


@dataclass(frozen=True, slots=True)
class GraphSize:
    """Bytes of an operator's nodes: in float, and how many more its integer forms need.

    The additional bytes are scales, Q/DQ pairs and, for 4 bits, what widens the weights to 8.
    """

    float_bytes: int
    more_at_8_bits: int
    more_at_4_bits: int

    def node_bytes(self, bits: Bits) -> int:
        """Return the bytes of the nodes at a bit-width."""
        more: dict[Bits, int] = {"fp": 0, 8: self.more_at_8_bits, 4: self.more_at_4_bits}
        return self.float_bytes + more[bits]


def no_tables(op: Operator) -> int:
    """Return 0: the bytes of an operator without tables of indices."""
    return 0


def scan_tables(op: Operator) -> int:
    """Return the bytes of an operator's scans on the whole grid."""
    return scan_bytes(op["directions"], op.grid, effective_mode(dict(op.settings)) == "group")


def multiscale_tables(op: Operator) -> int:
    """Return the bytes of a first scan on the whole grid and of the others on half of it."""
    first, *others = op["directions"]
    return scan_bytes((first,), op.grid, False) + scan_bytes(tuple(others), halve(op.grid), False)


def scan_bytes(directions: tuple[str, ...], grid: int, grouped: bool) -> int:
    """Return the bytes of a scan of a grid: its nodes, and an index per token and direction, two where grouped."""
    tokens, count = grid * grid, len(directions)
    if tokens <= QUADRATIC_MAX_TOKENS:
        return count * (QUADRATIC_BYTES + GROUPED_BYTES * grouped + INDEX_BYTES * tokens)
    scans = [directions] if grouped else [(name,) for name in directions]
    nodes = sum(CHUNKED_BYTES + CHUNK_BYTES * chunk_count(names, grid, grid) for names in scans)
    return nodes + INDEX_BYTES * tokens * count * (1 + grouped)


def attention_tables(op: Operator) -> int:
    """Return the bytes that sort the tokens of an attention into sets; 0 where all attend to all."""
    side = scope_side(op["scope"])
    if side is None:
        return 0
    side = min(side, op.grid)
    tokens, filled = op.grid**2, (-(-op.grid // side) * side) ** 2
    padding = PADDING_BYTES + FLOAT_BYTES * filled if filled > tokens else 0
    return SETS_BYTES + INDEX_BYTES * (tokens + filled) + padding
