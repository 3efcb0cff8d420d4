"""Which members of a front a command means by `--pick`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nas.errors import NasError, did_you_mean
from nas.run.run import Run
from nas.search.evaluation_row import JudgedNetwork
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace
from nas.statistics import knee

PICKS = ("best", "knee", "smallest", "all")
Network = TypeVar("Network", bound=JudgedNetwork)


def front_members(run: Run, space: SearchSpace) -> list[Architecture]:
    """Return the architectures on the newest front of a run; `NasError` where `space` does not hold them."""
    members = [row.architecture for row in run.newest_search().front()]
    if not members or any(architecture not in space for architecture in members):
        raise NasError(f"the front of {run} is not one of space '{space.name}'", "--set front=RUN, of the same space")
    return members


def pick_rows(front: Sequence[Network], picks: Sequence[str]) -> list[Network]:
    """Return the rows of `front` that the picks name, each once: best accuracy, knee, smallest latency, all, or ids."""
    chosen = {row.id: row for pick in picks for row in rows_of(front, pick)}
    return list(chosen.values())


def rows_of(front: Sequence[Network], pick: str) -> list[Network]:
    """Return the rows that one pick names; `NasError` for an id that is not on the front."""
    if pick == "all":
        return list(front)
    if pick == "best":
        return [max(front, key=lambda row: (row.accuracy, -row.latency_ms))]
    if pick == "smallest":
        return [min(front, key=lambda row: (row.latency_ms, row.id))]
    if pick == "knee":
        return [front[knee(np.array([[-row.accuracy, row.latency_ms] for row in front]))]]
    named = [row for row in front if row.id == pick]
    if not named:
        close = difflib.get_close_matches(pick, [row.id for row in front], n=1)
        raise NasError(f"the front has no '{pick}'", f"{did_you_mean(pick, [*PICKS, *close])}, or any id of front.csv")
    return named
