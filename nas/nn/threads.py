"""How the cores are divided: between two trainings, and among batches that are judged side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

AT_ONCE = 2  # networks trained side by side, each by a thread of its own


@contextmanager
def divided_cores() -> Iterator[None]:
    """Let every operation use 1 / AT_ONCE of the cores, so that as many threads can compute; restore it afterwards.

    Within itself it changes nothing, and it never uses more threads than were allowed before (OMP_NUM_THREADS).
    """
    before = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(before, max(1, cores // AT_ONCE)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Let every operation use one thread, and return how many may run side by side; restore it afterwards.

    Sums are then added in the same order on any number of cores: a search finds the same with workers as without.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield max(AT_ONCE, before)
    finally:
        torch.set_num_threads(before)
