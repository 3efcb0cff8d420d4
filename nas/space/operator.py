"""A block placed in a network: its kind with the shapes it works on. The unit that is built, priced and measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nas.space.architecture import Architecture, Bits, Block, Setting, patch_size


@dataclass(frozen=True, slots=True)
class Operator:
    """A piece of a network from one tensor to the next.

    `kind` is `stem`, `double-stem`, `patch-stem`, `downsample`, `widen`, `head` or the kind of a block. `grid` is the
    height = width of its *input* in pixels or tokens, `in_channels` and `out_channels` its widths (`out_channels` of
    the head is the classes).
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


def place_stem(stem: str, width: int, resolution: int) -> Operator:
    """Give the operator of a stem; images of `resolution` x `resolution` pixels go in."""
    patch = patch_size(stem)
    if patch is not None:
        return Operator("patch-stem", 3, width, resolution, (("patch", patch),))
    return Operator("stem" if stem == "conv" else "double-stem", 3, width, resolution)


def place_step(stride: int, before: int, width: int, grid: int) -> Operator:
    """Give the operator between two stages: `downsample` for stride 2, `widen` for stride 1; `grid` is its input's."""
    return Operator("downsample" if stride == 2 else "widen", before, width, grid)


def stage_grids(stem: str, resolution: int, strides: Iterable[int]) -> tuple[int, ...]:
    """Give the side of each stage's grid of tokens; `strides` are those of the stages, the first of which has none."""
    patch = patch_size(stem)
    first = halve(resolution) if stem == "conv" else halve(halve(resolution))
    found = [first if patch is None else resolution // patch]
    for stride in list(strides)[1:]:
        found.append(halve(found[-1]) if stride == 2 else found[-1])
    return tuple(found)


def operators(architecture: Architecture, num_classes: int) -> tuple[Operator, ...]:
    """List an architecture's operators in the order they run: stem, blocks and the steps between stages, head."""
    stages = architecture.stages
    grids = stage_grids(architecture.stem, architecture.resolution, (stage.stride for stage in stages))
    placed = [place_stem(architecture.stem, stages[0].width, architecture.resolution)]
    for index, (stage, grid) in enumerate(zip(stages, grids, strict=True)):
        if index > 0:
            placed.append(place_step(stage.stride, stages[index - 1].width, stage.width, grids[index - 1]))
        placed.extend(place(block, stage.width, grid) for block in stage.blocks)
    placed.append(Operator("head", stages[-1].width, num_classes, grids[-1]))
    return tuple(placed)


def halve(grid: int) -> int:
    """Output size of a stride-2 3x3 convolution with padding 1: the half, rounded up."""
    return (grid + 1) // 2
