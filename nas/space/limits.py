"""Bounds of what a space or an architecture may hold: a mistyped one is refused, not built until memory is full."""

from __future__ import annotations

LARGEST = 100_000  # any single number: a width, a kernel, an expansion
MOST_PIXELS = 2048  # side of an image
MOST_BLOCKS = 200  # of a stage
