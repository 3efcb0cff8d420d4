"""The architectures that every search of a run begins with."""

from __future__ import annotations

from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.latency_table import LatencyTable
from nas.space.architecture import Architecture
from nas.space.bits import Width, uniform, widths_of


def seeds(table: LatencyTable) -> list[Architecture]:
    """Give the architectures that every search begins with: the fastest, the smallest, the largest, the presets.

    Where bits are searched, the first three come in every uniform bit-width as well; presets do so by themselves.
    """
    space = table.space
    ends = [fastest_architecture(table, space), space.smallest(), space.largest()]
    widths: tuple[Width, ...] = ("fp", *widths_of(space))
    uniforms = [uniform(space, each, bits) for each in ends for bits in widths]
    presets = [preset.architecture for preset in space.presets.values()]
    return list(dict.fromkeys([*ends, *uniforms, *presets]))
