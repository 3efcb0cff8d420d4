"""How the cores are divided when two networks are trained at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

AT_ONCE = 2  # networks trained side by side, each by a thread of its own


@contextmanager
def divided_cores() -> Iterator[None]:
    """Let every operation use 1 / AT_ONCE of the cores, so that as many threads can compute; restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // AT_ONCE))
    try:
        yield
    finally:
        torch.set_num_threads(before)
