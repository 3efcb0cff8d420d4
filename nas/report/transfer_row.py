"""What the front of one device is worth on another: a line of `search/transfer.csv`, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from nas.report.stored_values import Json, number, optional_number, text, whole

COLUMNS = (
    *("front_of", "used_on", "hypervolume_share", "accuracy", "own_accuracy", "within_limit", "of", "provenance"),
)
NUMBERS = ("hypervolume_share", "accuracy", "own_accuracy", "within_limit", "of")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRow:
    """The front found for `front_of`, priced again on `used_on`.

    `hypervolume_share` is over the hypervolume of that device's own front. `accuracy` is the best within the limit,
    None where no network keeps it; `own_accuracy` is the best of the device's own front.
    """

    front_of: str
    used_on: str
    hypervolume_share: float
    accuracy: float | None
    own_accuracy: float
    num_within_limit: int  # the column `within_limit`
    num_networks: int  # the column `of`
    provenance: str

    def to_row(self) -> dict[str, str | int | float | None]:
        """Return the columns of a line, in their order."""
        return {
            "front_of": self.front_of,
            "used_on": self.used_on,
            "hypervolume_share": self.hypervolume_share,
            "accuracy": self.accuracy,
            "own_accuracy": self.own_accuracy,
            "within_limit": self.num_within_limit,
            "of": self.num_networks,
            "provenance": self.provenance,
        }

    @classmethod
    def from_row(cls, row: Json) -> TransferRow:
        """Read a line; `NasError` where a value is missing or wrong."""
        return cls(
            front_of=text(row, "front_of"),
            used_on=text(row, "used_on"),
            hypervolume_share=number(row, "hypervolume_share"),
            accuracy=optional_number(row, "accuracy"),
            own_accuracy=number(row, "own_accuracy"),
            num_within_limit=whole(row, "within_limit"),
            num_networks=whole(row, "of"),
            provenance=text(row, "provenance"),
        )
