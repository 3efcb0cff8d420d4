"""How far the supernet's training was after an epoch: a line of `training.jsonl`, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from nas.report.stored_values import Json, optional_number, optional_whole, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEpoch:
    """The loss, and the validation accuracy of the largest, a random and the smallest subnet; None where unknown."""

    accuracy_largest: float | None = None
    accuracy_random: float | None = None
    accuracy_smallest: float | None = None
    epoch: int
    images: int | None = None  # seen since the training began
    loss: float | None = None
    rollbacks: int | None = None
    seconds: float | None = None

    @classmethod
    def from_json(cls, row: Json) -> TrainingEpoch:
        """Read a line; `NasError` where a value is missing or wrong."""
        return cls(
            accuracy_largest=optional_number(row, "accuracy_largest"),
            accuracy_random=optional_number(row, "accuracy_random"),
            accuracy_smallest=optional_number(row, "accuracy_smallest"),
            epoch=whole(row, "epoch"),
            images=optional_whole(row, "images"),
            loss=optional_number(row, "loss"),
            rollbacks=optional_whole(row, "rollbacks"),
            seconds=optional_number(row, "seconds"),
        )
