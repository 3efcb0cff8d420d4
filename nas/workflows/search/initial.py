"""The architectures that every search of a run begins with."""

from __future__ import annotations

from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.latency_table import LatencyTable
from nas.space.architecture import Architecture
from nas.space.bits import Width, uniform
from nas.space.search_space import widths_of


def initial_architectures(table: LatencyTable) -> list[Architecture]:
    """Return the architectures that every search begins with: the fastest, the smallest, the largest, the presets.

    Where bits are searched, the first three come in every uniform bit-width as well; presets have such copies already.
    """
    space = table.space
    ends = [fastest_architecture(table, space), space.smallest(), space.largest()]
    widths: tuple[Width, ...] = ("fp", *widths_of(space))
    uniforms = [uniform(space, architecture, bits) for architecture in ends for bits in widths]
    presets = [preset.architecture for preset in space.presets.values()]
    return list(dict.fromkeys([*ends, *uniforms, *presets]))
