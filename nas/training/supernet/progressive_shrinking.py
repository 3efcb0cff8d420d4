"""Progressive shrinking: a training begins with the largest subnets; depths, then the other sizes join later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas.space.search_space import SearchSpace
from nas.space.stage_space import StageSpace

SIZES = ("kernel", "band", "expansion", "heads", "state")  # settings of blocks that have a largest choice


def joined(space: SearchSpace, depths: bool, widths: bool) -> SearchSpace:
    """Return the part of a space whose `depths`, and `widths` with all other sizes, are free or else at their largest.

    After Cai et al. 2020 (Once for All): depth joins before width. Kinds, directions and bits stay free.
    """
    if depths and widths:
        return space
    stages = tuple(largest_stage(stage, depths, widths) for stage in space.stages)
    resolutions = space.resolutions if widths else (max(space.resolutions),)
    return replace(space, stages=stages, resolutions=resolutions, presets={})


def largest_stage(stage: StageSpace, depths: bool, widths: bool) -> StageSpace:
    """Return a stage with what has not joined at its largest."""

    def choices(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return (max(values),) if name in SIZES and not widths else values

    kinds = {
        kind: {name: choices(name, values) for name, values in settings.items()}
        for kind, settings in stage.kinds.items()
    }
    return replace(
        stage,
        depths=stage.depths if depths else (max(stage.depths),),
        widths=stage.widths if widths else (max(stage.widths),),
        kinds=kinds,
    )
