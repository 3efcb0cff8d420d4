"""What architectures are made of: the share of each choice, stage by stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nas.report.content import blocks_of, directions_in
from nas.space.architecture import Block

if TYPE_CHECKING:
    from nas.search.evaluation_row import JudgedNetwork

Shares = dict[int, dict[str, float]]  # stage (from 1) -> choice -> share in [0, 1]


def kind_shares(rows: Iterable[JudgedNetwork]) -> Shares:
    """Return the share of every block kind among the blocks of each stage."""
    return shares((stage, block.kind) for row in rows for stage, block in blocks_of(row))


def direction_shares(rows: Iterable[JudgedNetwork]) -> Shares:
    """Return the share of every scan direction among all scans of each stage; stages without scans are absent."""
    return shares(
        (stage, direction) for row in rows for stage, block in blocks_of(row) for direction in directions_in(block)
    )


def bits_shares(rows: Iterable[JudgedNetwork]) -> Shares:
    """Return the share of every bit-width among the blocks of each stage."""
    return shares((stage, bits_name(block)) for row in rows for stage, block in blocks_of(row))


def bits_name(block: Block) -> str:
    """Return `float`, or the bits in words."""
    return "float" if block.bits == "fp" else f"{block.bits} bit"


def depth_shares(rows: Iterable[JudgedNetwork]) -> Shares:
    """Return the share of every depth among the networks, per stage."""
    return shares(
        (number, f"{len(stage.blocks)} deep") for row in rows for number, stage in enumerate(row.architecture.stages, 1)
    )


def shares(choices: Iterable[tuple[int, str]]) -> Shares:
    """Count (stage, choice) pairs and divide by the number of each stage."""
    counts = Counter(choices)
    totals: Counter[int] = Counter()
    for (stage, _), count in counts.items():
        totals[stage] += count
    by_stage: Shares = {stage: {} for stage in sorted(totals)}
    for (stage, choice), count in sorted(counts.items()):
        by_stage[stage][choice] = count / totals[stage]
    return by_stage


def preference_sentence(front: Shares, everything: Shares, things: str) -> str:
    """Return a sentence on the choice whose share differs most between the front and everything evaluated."""
    differences = [
        (front[stage].get(choice, 0.0) - share, stage, choice)
        for stage in front
        for choice, share in everything.get(stage, {}).items()
    ]
    if not differences:
        return f"The front has no {things}."
    difference, stage, choice = max(differences, key=lambda item: (round(abs(item[0]), 6), item[0] > 0))
    if round(100 * difference) == 0:
        return f"The front chooses its {things} in the same shares as all evaluated architectures."
    verb = "favours" if difference > 0 else "avoids"
    return (
        f"In stage {stage} the front {verb} {choice}: {front[stage].get(choice, 0.0):.0%} of its {things}, "
        f"against {everything[stage][choice]:.0%} among all evaluated architectures."
    )
