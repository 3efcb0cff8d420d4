"""Finds the best vision network for a device and a latency limit. Public names are loaded when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; at run time every name is loaded when first used
    from nas.errors import NasError as NasError
    from nas.hardware.table.latency_table import LatencyTable as LatencyTable
    from nas.run.run import Run as Run
    from nas.run.run import load_supernet as load_supernet
    from nas.search.loop import search as search
    from nas.search.problem import Constraint as Constraint
    from nas.search.problem import Objective as Objective
    from nas.space.architecture import Architecture as Architecture
    from nas.space.search_space import SearchSpace as SearchSpace
    from nas.supernet.bn_calibration import calibrate as calibrate
    from nas.supernet.supernet import Supernet as Supernet
    from nas.supernet.supernet import extract as extract

PUBLIC = {
    "Architecture": "nas.space.architecture",
    "SearchSpace": "nas.space.search_space",
    "Supernet": "nas.supernet.supernet",
    "calibrate": "nas.supernet.bn_calibration",
    "extract": "nas.supernet.supernet",
    "LatencyTable": "nas.hardware.table.latency_table",
    "Objective": "nas.search.problem",
    "Constraint": "nas.search.problem",
    "Run": "nas.run.run",
    "load_supernet": "nas.run.run",
    "NasError": "nas.errors",
}

__all__ = [*PUBLIC, "search"]


def __getattr__(name: str) -> Any:
    if name == "search":  # the package is callable, see nas/search/__init__.py
        return importlib.import_module("nas.search")
    if name not in PUBLIC:
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    return getattr(importlib.import_module(PUBLIC[name]), name)
