"""Whether the search beats what people designed, in the same weights: a verdict per preset, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.report.content import sound

if TYPE_CHECKING:
    from nas.search.evaluation_row import FrontMember, PresetRow


def presets_sentence(front: Sequence[FrontMember], presets: Sequence[PresetRow]) -> str:
    """Return how many hand-designed patterns the search beats, and the names of the others."""
    shown = sound(presets)
    verdicts = {preset.name: verdict(preset, front, presets) for preset in shown}
    beaten = sum(word == "beaten" for word in verdicts.values())
    text = (
        f"The search beats {beaten} of {len(shown)} hand-designed patterns in the same weights: "
        "a network of its front is at least as accurate at no higher predicted latency."
    )
    for word, start in (
        ("on the front", "On the front themselves"),
        ("by another", "Beaten only by another pattern"),
        ("unbeaten", "Not beaten"),
    ):
        names = [name for name, reached in verdicts.items() if reached == word]
        text += f" {start}: {', '.join(names)}." if names else ""
    return text


def verdict(preset: PresetRow, front: Sequence[FrontMember], presets: Sequence[PresetRow]) -> str:
    """Return `on the front`, `beaten` (by what the search found), `by another` (preset), or `unbeaten`."""
    if on_the_front(preset, front):
        return "on the front"
    better = [row for row in at_least_as_accurate(preset, front) if row.latency_ms <= preset.latency_ms]
    if not better:
        return "unbeaten"
    patterns = {pattern.id for pattern in presets}
    return "beaten" if any(row.id not in patterns for row in better) else "by another"


def on_the_front(preset: PresetRow, front: Sequence[FrontMember]) -> bool:
    """Whether a preset is itself a member of the front."""
    return any(row.id == preset.id for row in front)


def at_least_as_accurate(preset: PresetRow, front: Sequence[FrontMember]) -> list[FrontMember]:
    """Return the members of the front that are at least as accurate as a preset, the fastest first."""
    return sorted((row for row in front if row.accuracy >= preset.accuracy), key=lambda row: row.latency_ms)
