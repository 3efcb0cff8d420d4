"""The one lock around torch's one CPU generator, which all threads share and all modules draw their first weights from.

Networks are built, mixed and augmented by several threads. What a thread draws must not depend on what the others do,
so no other module of this package seeds or forks that generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

LOCK = RLock()


@contextmanager
def exclusive() -> Iterator[None]:
    """Let no other thread draw from torch's generator meanwhile, and restore its state afterwards."""
    with LOCK, torch.random.fork_rng(devices=[]):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's generator as `seed` says, alone, and restore its state afterwards."""
    with exclusive():
        reseed(seed)
        yield


def reseed(seed: int) -> None:
    """Seed torch's generator again, within `exclusive` or `seeded`."""
    torch.manual_seed(seed)
