"""Which members of a front a command means by `--pick`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import NasError, did_you_mean
from nas.run.evaluations import front_in
from nas.run.folder import latest_search
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace

PICKS = ("best", "knee", "smallest", "all")


def read_front(run: Path) -> list[dict[str, Any]]:
    """Read the front of a run's newest search, by rising latency."""
    return list(front_in(latest_search(run)))


def front_members(run: Path, space: SearchSpace) -> list[Architecture]:
    """Give the architectures on the front of a run's newest search; `NasError` where `space` does not hold them."""
    members = [Architecture.from_json(row["architecture"]) for row in read_front(run)]
    if not members or any(each not in space for each in members):
        raise NasError(f"the front of {run} is not one of space '{space.name}'", "--set front=RUN, of the same space")
    return members


def pick_rows(front: Sequence[Mapping[str, Any]], picks: Sequence[str]) -> list[Mapping[str, Any]]:
    """Give the rows of `front` that the picks name, each once: best accuracy, knee, smallest latency, all, or ids."""
    chosen: dict[str, Mapping[str, Any]] = {}
    for pick in picks:
        for row in rows_of(front, pick):
            chosen[row["id"]] = row
    return list(chosen.values())


def rows_of(front: Sequence[Mapping[str, Any]], pick: str) -> list[Mapping[str, Any]]:
    """Give the rows that one pick names; `NasError` for an id that is not on the front."""
    if pick == "all":
        return list(front)
    if pick == "best":
        return [max(front, key=lambda row: (row["accuracy"], -row["latency_ms"]))]
    if pick == "smallest":
        return [min(front, key=lambda row: (row["latency_ms"], row["id"]))]
    if pick == "knee":
        from nas.statistics import knee

        costs = np.array([[-row["accuracy"], row["latency_ms"]] for row in front])
        return [front[knee(costs)]]
    found = [row for row in front if row["id"] == pick]
    if not found:
        close = difflib.get_close_matches(pick, [row["id"] for row in front], n=1)
        raise NasError(f"the front has no '{pick}'", f"{did_you_mean(pick, [*PICKS, *close])}, or any id of front.csv")
    return found
