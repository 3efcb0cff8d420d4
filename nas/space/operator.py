"""A block placed in a network: its kind with the shapes it works on. The unit that is built, priced and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.space.architecture import Architecture, Block, Setting


@dataclass(frozen=True, slots=True)
class Operator:
    """A piece of a network from one tensor to the next.

    `kind` is `stem`, `downsample`, `head` or the kind of a block. `grid` is the height = width of its *input* in
    pixels or tokens, `in_channels` and `out_channels` its widths (`out_channels` of the head is the classes).
    """

    kind: str
    in_channels: int
    out_channels: int
    grid: int
    settings: tuple[tuple[str, Setting], ...] = ()
    bits: str | int = "fp"

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


def operators(architecture: Architecture, num_classes: int) -> tuple[Operator, ...]:
    """List an architecture's operators in the order they run: stem, blocks and downsamplings, head."""
    width, grid = architecture.stages[0].width, halve(architecture.resolution)
    placed = [Operator("stem", 3, width, architecture.resolution)]
    for index, stage in enumerate(architecture.stages):
        if index > 0:
            placed.append(Operator("downsample", width, stage.width, grid))
            width, grid = stage.width, halve(grid)
        placed.extend(place(block, width, grid) for block in stage.blocks)
    placed.append(Operator("head", width, num_classes, grid))
    return tuple(placed)


def halve(grid: int) -> int:
    """Output size of a stride-2 3x3 convolution with padding 1: the half, rounded up."""
    return (grid + 1) // 2
