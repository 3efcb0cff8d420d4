"""A trained network beside others: one line of `compare.csv`, as a value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.report.stored_values import Json, number, optional_number, optional_text, optional_whole, text, whole

COLUMNS = (
    *("name", "kind", "id", "accuracy", "accuracy_std", "latency_ms", "num_params", "macs", "epochs", "recipe"),
    *("source", "images", "resolution", "validation_accuracy", "inherited_accuracy", "provenance"),
    *("latency_low_ms", "latency_high_ms", "num_seeds", "rival", "verdict", "error_ratio", "speed_up"),
    "device",
)
TEXTS = ("name", "kind", "id", "recipe", "source", "provenance", "rival", "verdict", "device")
NUMBERS = tuple(name for name in COLUMNS if name not in TEXTS)
SEARCHED, HAND_DESIGNED = "searched", "hand-designed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedNetwork:
    """A searched network or a hand-designed model, trained and measured by the same rules.

    Accuracies are means over `num_seeds` seeds, in [0, 1]; `accuracy` is on the test split. `latency_ms` is measured on
    the whole network where `provenance` is `measured`. None stands for what is not known.

    The last four describe a hand-designed model only: the searched network set against it (`counterpart`), the
    comparison of the two in words (`verdict`), and two figures against the searched networks as a curve. `error_ratio`
    is their error at its latency over its own; `speed_up` is its latency over theirs at its accuracy.
    """

    name: str
    kind: str  # SEARCHED or HAND_DESIGNED
    id: str
    accuracy: float
    num_params: int
    macs: int
    accuracy_std: float | None = None
    latency_ms: float | None = None
    epochs: int | None = None
    recipe: str | None = None
    source: str | None = None
    images: int | None = None
    resolution: int | None = None
    validation_accuracy: float | None = None
    inherited_accuracy: float | None = None
    provenance: str | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    num_seeds: int | None = None
    device: str | None = None
    counterpart: str | None = None  # the column `rival`
    verdict: str | None = None
    error_ratio: float | None = None
    speed_up: float | None = None

    @property
    def measured_ms(self) -> float | None:
        """Return the latency of the whole network in milliseconds; None where it was not measured."""
        return self.latency_ms if self.provenance == "measured" else None

    @property
    def has_learnt_nothing(self) -> bool:
        """Whether a hand-designed model was left out of the comparison: it has a verdict and no counterpart."""
        return bool(self.verdict) and not self.counterpart

    def to_row(self) -> dict[str, str | int | float | None]:
        """Return the columns of a line, in their order."""
        return {name: self.counterpart if name == "rival" else getattr(self, name) for name in COLUMNS}

    @classmethod
    def from_row(cls, row: Json) -> ComparedNetwork:
        """Read a line; `NasError` where a value is missing or wrong. A file without `provenance` was measured."""
        return cls(
            name=text(row, "name"),
            kind=text(row, "kind"),
            id=text(row, "id"),
            accuracy=number(row, "accuracy"),
            num_params=whole(row, "num_params"),
            macs=whole(row, "macs"),
            accuracy_std=optional_number(row, "accuracy_std"),
            latency_ms=optional_number(row, "latency_ms"),
            epochs=optional_whole(row, "epochs"),
            recipe=optional_text(row, "recipe"),
            source=optional_text(row, "source"),
            images=optional_whole(row, "images"),
            resolution=optional_whole(row, "resolution"),
            validation_accuracy=optional_number(row, "validation_accuracy"),
            inherited_accuracy=optional_number(row, "inherited_accuracy"),
            provenance=optional_text(row, "provenance") if "provenance" in row else "measured",
            latency_low_ms=optional_number(row, "latency_low_ms"),
            latency_high_ms=optional_number(row, "latency_high_ms"),
            num_seeds=optional_whole(row, "num_seeds"),
            device=optional_text(row, "device"),
            counterpart=optional_text(row, "rival"),
            verdict=optional_text(row, "verdict"),
            error_ratio=optional_number(row, "error_ratio"),
            speed_up=optional_number(row, "speed_up"),
        )

    def on(self, device: str) -> ComparedNetwork:
        """Return the network as a page on `device` shows it: accuracies hold everywhere, the rest on one device."""
        if self.device in (None, device):
            return self
        return replace(
            self,
            device=None,
            latency_ms=None,
            latency_low_ms=None,
            latency_high_ms=None,
            provenance=None,
            counterpart=None,
            verdict=None,
            error_ratio=None,
            speed_up=None,
        )
