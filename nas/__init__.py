"""Finds the best vision network for a device and a latency limit. Public names are loaded when first used."""

from __future__ import annotations

import importlib
from typing import Any

PUBLIC = {
    "Architecture": "nas.space.architecture",
    "SearchSpace": "nas.space.search_space",
    "Supernet": "nas.supernet.supernet",
    "calibrate": "nas.supernet.bn_calibration",
    "extract": "nas.supernet.supernet",
    "LatencyTable": "nas.hardware.table.latency_table",
    "Objective": "nas.search.problem",
    "Constraint": "nas.search.problem",
    "NasError": "nas.errors",
}

__all__ = [*PUBLIC, "search"]


def __getattr__(name: str) -> Any:
    if name == "search":  # the package is callable, see nas/search/__init__.py
        return importlib.import_module("nas.search")
    if name not in PUBLIC:
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    return getattr(importlib.import_module(PUBLIC[name]), name)
