"""The search space of a run, read without loading any weights."""

from __future__ import annotations

from pathlib import Path

from nas.errors import NasError
from nas.files import read_json
from nas.space.search_space import SearchSpace


def run_space(run: Path) -> SearchSpace:
    """Give the search space that a run was trained on; `NasError` where its manifest names none."""
    manifest = read_json(run / "run.json")
    if "space_definition" not in manifest:
        raise NasError(f"{run}/run.json names no search space", "Train one: nas train-supernet --space scan-mix-tiny")
    return SearchSpace.from_dict(manifest["space_definition"])
