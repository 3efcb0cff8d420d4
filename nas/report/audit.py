"""An audit, as a value: networks trained stand-alone beside what they inherit, from `audit.json`."""

from __future__ import annotations

from dataclasses import dataclass

from nas.report.stored_values import (
    Json,
    number,
    optional_number,
    optional_part,
    optional_text,
    part,
    parts,
    text,
    whole,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankFigures:
    """Rank correlations of n networks, each with the ends of its 95 % interval."""

    kendall_tau: float
    low: float
    high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    n: int

    @classmethod
    def from_json(cls, row: Json) -> RankFigures:
        """Read what `nas audit` wrote; `NasError` where a value is missing or wrong."""
        return cls(
            kendall_tau=number(row, "kendall_tau"),
            low=number(row, "low"),
            high=number(row, "high"),
            spearman=number(row, "spearman"),
            spearman_low=number(row, "spearman_low"),
            spearman_high=number(row, "spearman_high"),
            n=whole(row, "n"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedNetwork:
    """A network with two validation accuracies: with inherited weights and trained stand-alone."""

    id: str
    preset: str | None  # its name, where it is a preset of the space
    inherited: float
    standalone: float
    macs: int
    latency_ms: float | None

    @classmethod
    def from_json(cls, row: Json) -> AuditedNetwork:
        """Read what `nas audit` wrote; `NasError` where a value is missing or wrong."""
        return cls(
            id=text(row, "id"),
            preset=optional_text(row, "preset"),
            inherited=number(row, "inherited"),
            standalone=number(row, "alone"),
            macs=whole(row, "macs"),
            latency_ms=optional_number(row, "latency_ms"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How well inherited accuracies order networks.

    `ceiling` is the agreement of two stand-alone trainings, which no supernet can exceed. `macs` is the agreement that
    counting MACs reaches. `mean_gap` is the mean gain of stand-alone training, as a share.
    """

    ranking: RankFigures
    mean_gap: float
    networks: tuple[AuditedNetwork, ...]
    epochs: int
    ceiling: RankFigures | None = None
    macs: RankFigures | None = None

    @classmethod
    def from_json(cls, document: Json) -> Audit:
        """Read `audit.json`; `NasError` where a value is missing or wrong."""
        ranking = part(document, "ranking")
        ceiling, macs = optional_part(ranking, "ceiling"), optional_part(ranking, "macs")
        return cls(
            ranking=RankFigures.from_json(ranking),
            mean_gap=number(ranking, "mean_gap"),
            networks=tuple(map(AuditedNetwork.from_json, parts(document, "networks"))),
            epochs=whole(document, "epochs"),
            ceiling=None if ceiling is None else RankFigures.from_json(ceiling),
            macs=None if macs is None else RankFigures.from_json(macs),
        )
