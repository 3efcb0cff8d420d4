"""A block placed in a network: its kind with the shapes it works on. The unit that is built, priced and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from nas.space.architecture import Architecture, Bits, Block, Setting, patch_size

TRANSITIONS = ("quantize", "dequantize")  # the kinds of operator between floats and integer values
ACTIVATION_BITS = 8  # of the values between integer operators, whatever the bits of their weights
FINER = 16  # 4-bit weights are multiplied by it, and their scale divided, where they are widened for int8 kernels


@dataclass(frozen=True, slots=True)
class Operator:
    """A piece of a network from one tensor to the next.

    `kind` is `stem`, `double-stem`, `patch-stem`, `downsample`, `widen`, `head` or the kind of a block. `quantize` and
    `dequantize` stand between floats and integer values. `grid` is the height = width of its *input* in pixels or
    tokens, `in_channels` and `out_channels` its widths (`out_channels` of the head is the number of classes).
    """

    kind: str
    in_channels: int
    out_channels: int
    grid: int
    settings: tuple[tuple[str, Setting], ...] = ()
    bits: Bits = "fp"

    def __getitem__(self, name: str) -> Any:
        return dict(self.settings)[name]

    @property
    def key(self) -> str:
        """Canonical text that names everything which changes the computation; the key of a latency table.

        >>> Operator("conv", 32, 32, 8, (("expansion", 2), ("kernel", 3))).key
        'conv|in=32|out=32|grid=8|expansion=2|kernel=3|bits=fp'
        """
        settings = "".join(f"|{name}={'+'.join(v) if isinstance(v, tuple) else v}" for name, v in self.settings)
        return f"{self.kind}|in={self.in_channels}|out={self.out_channels}|grid={self.grid}{settings}|bits={self.bits}"


def place(block: Block, width: int, grid: int) -> Operator:
    """Place a block in a stage of `width` channels on a `grid` x `grid` map."""
    return Operator(block.kind, width, width, grid, block.settings, block.bits)


def place_stem(stem: str, width: int, resolution: int, bits: str | int = "fp") -> Operator:
    """Return the operator of a stem; images of `resolution` x `resolution` pixels go in."""
    patch = patch_size(stem)
    if patch is not None:
        return Operator("patch-stem", 3, width, resolution, (("patch", patch),), bits)
    return Operator("stem" if stem == "conv" else "double-stem", 3, width, resolution, (), bits)


def place_step(stride: int, before: int, width: int, grid: int, bits: str | int = "fp") -> Operator:
    """Return the operator between two stages: `downsample` for stride 2, `widen` for 1; `grid` is its input's."""
    return Operator("downsample" if stride == 2 else "widen", before, width, grid, (), bits)


def place_transition(before_is_coded: bool, op: Operator) -> Operator | None:
    """Return the transition before `op`; None where it takes what comes before it, integer values or floats."""
    if before_is_coded == (op.bits != "fp"):
        return None
    if before_is_coded:
        return Operator("dequantize", op.in_channels, op.in_channels, op.grid)
    return Operator("quantize", op.in_channels, op.in_channels, op.grid, (), ACTIVATION_BITS)


def with_transitions(chain: Iterable[Operator]) -> Iterator[Operator]:
    """Put `quantize` and `dequantize` between the operators of a network, whose input is float."""
    coded = False
    for op in chain:
        transition = place_transition(coded, op)
        if transition is not None:
            yield transition
        yield op
        coded = op.bits != "fp"


def stage_grids(stem: str, resolution: int, strides: Iterable[int]) -> tuple[int, ...]:
    """Return the side of each stage's grid of tokens. `strides` has one per stage; the first is not used."""
    patch = patch_size(stem)
    first = halve(resolution) if stem == "conv" else halve(halve(resolution))
    grids = [first if patch is None else resolution // patch]
    for stride in list(strides)[1:]:
        grids.append(halve(grids[-1]) if stride == 2 else grids[-1])
    return tuple(grids)


def operators(architecture: Architecture, num_classes: int) -> tuple[Operator, ...]:
    """List an architecture's operators in the order they run: stem, blocks and the steps between stages, head.

    An operator of its own stands where floats become integer values, and where these become floats.
    """
    stages = architecture.stages
    grids = stage_grids(architecture.stem, architecture.resolution, (stage.stride for stage in stages))
    placed = [place_stem(architecture.stem, stages[0].width, architecture.resolution, stages[0].entry_bits)]
    for index, (stage, grid) in enumerate(zip(stages, grids, strict=True)):
        if index > 0:
            before = stages[index - 1].width
            placed.append(place_step(stage.stride, before, stage.width, grids[index - 1], stage.entry_bits))
        placed.extend(place(block, stage.width, grid) for block in stage.blocks)
    placed.append(Operator("head", stages[-1].width, num_classes, grids[-1], (), architecture.head_bits))
    return tuple(with_transitions(placed))


def halve(grid: int) -> int:
    """Output size of a stride-2 3x3 convolution with padding 1: the half, rounded up."""
    return (grid + 1) // 2
