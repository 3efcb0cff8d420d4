"""What the report shows of a latency table, read from the table's header."""

from __future__ import annotations

from dataclasses import dataclass

from nas.report.stored_values import (
    Json,
    flag,
    number,
    optional_number,
    optional_part,
    optional_text,
    optional_whole,
    part,
    parts,
    text,
    whole,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedNetwork:
    """A whole network: its latency as measured and as the table predicts it."""

    id: str
    measured_ms: float
    predicted_ms: float
    split: str  # `fit` where it served to fit the table's correction, else `held-out`

    @classmethod
    def from_json(cls, row: Json) -> ValidatedNetwork:
        """Read what `nas profile` wrote; `NasError` where a value is missing or wrong."""
        return cls(
            id=text(row, "id"),
            measured_ms=number(row, "measured_ms"),
            predicted_ms=number(row, "predicted_ms"),
            split=text(row, "split"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """How the table's predictions of held-out networks compare with measurements; errors are shares.

    `noise_mape` is the difference between two measurements of one network; `macs_mape` and `macs_tau` are what MACs
    alone reach.
    """

    mape: float
    kendall_tau: float
    networks: tuple[ValidatedNetwork, ...] = ()
    n: int | None = None  # held-out networks
    bias: float | None = None
    p90: float | None = None
    noise_mape: float | None = None
    macs_mape: float | None = None
    macs_tau: float | None = None
    trustworthy: bool = True

    @classmethod
    def from_json(cls, row: Json) -> Validation:
        """Read what `nas profile` wrote; `NasError` where a value is missing or wrong."""
        return cls(
            mape=number(row, "mape"),
            kendall_tau=number(row, "kendall_tau"),
            networks=tuple(map(ValidatedNetwork.from_json, parts(row, "networks"))),
            n=optional_whole(row, "n"),
            bias=optional_number(row, "bias"),
            p90=optional_number(row, "p90"),
            noise_mape=optional_number(row, "noise_mape"),
            macs_mape=optional_number(row, "macs_mape"),
            macs_tau=optional_number(row, "macs_tau"),
            trustworthy=flag(row, "trustworthy", default=True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """The conditions a table holds for, where its rows come from, and how well it predicts."""

    device: str
    backend: str
    dtype: str
    batch: int
    provenance: str  # `measured`, `interpolated` or `predicted`
    date: str | None = None
    num_measured: int | None = None  # rows that are measured, of an interpolated table
    interval_factor: float = 1.0  # 90 % of predictions are correct within this factor, of a predicted table
    validation: Validation | None = None  # None where fewer than two held-out networks were measured

    @classmethod
    def from_header(cls, header: Json) -> TableFacts:
        """Read a table's header; `NasError` where a value is missing or wrong."""
        validation = optional_part(header, "validation")
        prediction = optional_part(header, "prediction")
        interpolated = header.get("provenance") == "interpolated"
        return cls(
            device=text(header, "device"),
            backend=text(header, "backend"),
            dtype=text(header, "dtype"),
            batch=whole(header, "batch"),
            provenance=text(header, "provenance"),
            date=optional_text(header, "date"),
            num_measured=whole(part(header, "interpolation"), "measured") if interpolated else None,
            interval_factor=number(prediction, "interval_90") if prediction and "interval_90" in prediction else 1.0,
            validation=Validation.from_json(validation) if validation and "mape" in validation else None,
        )
