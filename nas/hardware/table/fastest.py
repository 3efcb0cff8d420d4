"""The fastest network of a space by a table, found exactly: what no latency limit can go below."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, product
from typing import Any

from nas.hardware.table.latency_table import LatencyTable
from nas.space.architecture import Architecture, Block, Stage
from nas.space.operator import Operator, place, place_stem, place_step, place_transition
from nas.space.search_space import SearchSpace

State = tuple[int, bool]  # width, and whether the map is held as codes
Path = tuple[float, tuple[Any, ...]]  # milliseconds, and what was chosen


def fastest_architecture(table: LatencyTable, space: SearchSpace) -> Architecture:
    """Return the architecture of the least predicted latency.

    Dynamic programming over operators, with the width and whether the map is coded as state: the prediction is a sum,
    of which only the step between two stages and what stands between floats and integer values see two neighbours.
    """
    fastest = [fastest_at(table, space, resolution) for resolution in space.resolutions]
    return min(fastest, key=lambda architecture: table.predict(architecture).ms)


def fastest_at(table: LatencyTable, space: SearchSpace, resolution: int) -> Architecture:
    """Return the fastest architecture of one resolution."""

    def cost(coded: bool, op: Operator) -> float:
        steps = [step for step in (place_transition(coded, op), op) if step is not None]
        return sum(table.correction.b * table.row(step).ms + table.correction.c for step in steps)

    grids = space.grids(resolution)
    paths: dict[State, Path] = {(0, False): (0.0, ())}
    for index, (stage, grid) in enumerate(zip(space.stages, grids, strict=True)):
        reached: dict[State, Path] = {}
        for width, bits in product(stage.widths, stage.entry_bits):

            def entry(before: int, width: int = width, bits: Any = bits, index: int = index) -> Operator:
                if index == 0:
                    return place_stem(space.stem, width, resolution, bits)
                return place_step(space.stages[index].stride, before, width, grids[index - 1], bits)

            entered = [
                (ms + cost(coded, entry(before)), (*done, (width, bits)))
                for (before, coded), (ms, done) in paths.items()
            ]
            inside: dict[State, Path] = {(width, bits != "fp"): min(entered, key=lambda path: path[0])}
            for depth in range(1, max(stage.depths) + 1):
                inside = best_of(
                    ((width, block.bits != "fp"), (ms + cost(coded, place(block, width, grid)), (*done, block)))
                    for (_, coded), (ms, done) in inside.items()
                    for block in stage.blocks
                )
                if depth in stage.depths:
                    reached = best_of(chain(reached.items(), inside.items()))
        paths = reached
    ends = [
        (ms + cost(coded, Operator("head", width, space.num_classes, grids[-1], (), bits)), (*done, bits))
        for (width, coded), (ms, done) in paths.items()
        for bits in space.head_bits
    ]
    return built(space, resolution, min(ends, key=lambda path: path[0])[1])


def best_of(paths: Iterable[tuple[State, Path]]) -> dict[State, Path]:
    """Keep the first of the fastest paths to each state."""
    found: dict[State, Path] = {}
    for state, path in paths:
        if state not in found or path[0] < found[state][0]:
            found[state] = path
    return found


def built(space: SearchSpace, resolution: int, chosen: tuple[Any, ...]) -> Architecture:
    """Build an architecture of what a path chose: (width, bits of the entry) and blocks per stage, bits of the head."""
    *parts, head_bits = chosen
    stages: list[Stage] = []
    for part in parts:
        if isinstance(part, Block):
            stages[-1] = replace(stages[-1], blocks=(*stages[-1].blocks, part))
        else:
            stages.append(Stage(part[0], (), space.stages[len(stages)].stride, part[1]))
    return Architecture(resolution, tuple(stages), space.stem, head_bits)
