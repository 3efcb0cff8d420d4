"""The choices of one stage of a search space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from nas.files import JsonObject
from nas.space.architecture import Block
from nas.space.kinds import active_settings


@dataclass(frozen=True)
class StageSpace:
    """The choices of one stage. `kinds` maps a block kind to its settings, each with its choices.

    `stride` is no choice: the step from the stage before halves the grid (2) or keeps it (1). `bits` are the choices of
    every kind that `kind_bits` does not name. `entry_bits` are the choices of the stem, or step, that makes the grid.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kinds: dict[str, dict[str, tuple[Any, ...]]]
    bits: tuple[str | int, ...] = ("fp",)
    stride: int = 2
    entry_bits: tuple[str | int, ...] = ("fp",)
    kind_bits: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)

    def bits_of(self, kind: str) -> tuple[str | int, ...]:
        """Return the choices of bits of one kind."""
        return self.kind_bits.get(kind, self.bits)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every distinct block of the stage: settings without effect are left out, not repeated."""
        blocks: dict[Block, None] = {}
        for kind, settings in self.kinds.items():
            for values in product(*settings.values()):
                kept = active_settings(kind, dict(zip(settings, values, strict=True)))
                blocks.update({Block.of(kind, bits, **kept): None for bits in self.bits_of(kind)})
        return tuple(blocks)

    def to_dict(self) -> JsonObject:
        """Turn into the keys of a space file; a stride of 2 and a float entry are left out."""
        stride = {} if self.stride == 2 else {"stride": self.stride}
        entry = {} if self.entry_bits == ("fp",) else {"entry_bits": list(self.entry_bits)}
        bits = {kind: list(self.bits_of(kind)) for kind in self.kinds} if self.kind_bits else list(self.bits)
        choices = {"width": list(self.widths), "depth": list(self.depths), "bits": bits}
        return {**choices, **entry, **stride, "blocks": self.kinds}
