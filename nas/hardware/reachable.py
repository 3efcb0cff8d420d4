"""The fastest network of a space by a table, found exactly: what no latency limit can go below."""

from __future__ import annotations

from nas.hardware.latency_table import LatencyTable
from nas.space.architecture import Architecture, Stage
from nas.space.operator import Operator, place, place_stem, place_step
from nas.space.search_space import SearchSpace


def fastest_architecture(table: LatencyTable, space: SearchSpace) -> Architecture:
    """Give the architecture of the least predicted latency.

    Dynamic programming over stages, with the width as state: the prediction is a sum over operators, and only the
    downsampling between two stages sees both their widths.
    """
    found = [fastest_at(table, space, resolution) for resolution in space.resolutions]
    return min(found, key=lambda architecture: table.predict(architecture).ms)


def fastest_at(table: LatencyTable, space: SearchSpace, resolution: int) -> Architecture:
    """Give the fastest architecture of one resolution."""

    def cost(op: Operator) -> float:
        return table.correction.b * table.row(op).ms + table.correction.c

    grids = space.grids(resolution)
    paths: dict[int, tuple[float, tuple[Stage, ...]]] = {}  # width of the last stage -> (cost, stages so far)
    for index, (stage, grid) in enumerate(zip(space.stages, grids, strict=True)):
        reached: dict[int, tuple[float, tuple[Stage, ...]]] = {}
        for width in stage.widths:
            block_cost, block = min(
                ((cost(place(block, width, grid)), block) for block in stage.blocks), key=lambda pair: pair[0]
            )
            depth = min(stage.depths, key=lambda depth: depth * block_cost)
            entry: list[tuple[float, tuple[Stage, ...]]]
            if index == 0:
                entry = [(cost(place_stem(space.stem, width, resolution)), ())]
            else:
                entry = [
                    (before_cost + cost(place_step(stage.stride, before, width, grids[index - 1])), stages)
                    for before, (before_cost, stages) in paths.items()
                ]
            least, stages = min(entry, key=lambda pair: pair[0])
            reached[width] = (least + depth * block_cost, (*stages, Stage(width, (block,) * depth, stage.stride)))
        paths = reached
    ends = [
        (total + cost(Operator("head", width, space.num_classes, grids[-1])), stages)
        for width, (total, stages) in paths.items()
    ]
    return Architecture(resolution, min(ends, key=lambda pair: pair[0])[1], space.stem)
