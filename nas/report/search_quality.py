"""What a search was worth: against plain searches with as many evaluations, and what became of each evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.report.stored_values import Json, number, optional_number, part, refuse, whole

History = tuple[tuple[int, float], ...]  # (number of evaluations, hypervolume)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuality:
    """The part `sanity` of `front.json`.

    `baselines` maps plain algorithms to the hypervolume that a predictor expects of them (the key `control`),
    `baseline_history` to its growth (`control_history`). `num_wasted` evaluations were dominated when they were made.
    `order_right` is the share of pairs of a batch whose order was predicted correctly, None without a predictor;
    `saved_share` is the share of images that racing saved.
    """

    hypervolume: float
    baselines: Mapping[str, float]
    baseline_history: Mapping[str, History]
    num_evaluations: int
    num_shared: int  # with another device
    num_wasted: int
    order_right: float | None
    saved_share: float

    @classmethod
    def from_json(cls, row: Json) -> SearchQuality:
        """Read what `nas search` wrote; `NasError` where a value is missing or wrong."""
        baselines = part(row, "control")
        histories = part(row, "control_history") if "control_history" in row else {}
        return cls(
            hypervolume=number(row, "hypervolume"),
            baselines={name: number(baselines, name) for name in baselines},
            baseline_history={name: history_in(histories, name) for name in histories},
            num_evaluations=whole(row, "num_evaluations"),
            num_shared=whole(row, "num_shared"),
            num_wasted=whole(row, "num_wasted"),
            order_right=optional_number(row, "order_right"),
            saved_share=number(row, "saved_share"),
        )

    def to_json(self) -> Json:
        """Return the keys of the file, in their order."""
        return {
            "hypervolume": self.hypervolume,
            "control": self.baselines,
            "control_history": {name: list(history) for name, history in self.baseline_history.items()},
            "num_evaluations": self.num_evaluations,
            "num_shared": self.num_shared,
            "num_wasted": self.num_wasted,
            "order_right": self.order_right,
            "saved_share": self.saved_share,
        }


def history_in(histories: Json, name: str) -> History:
    """Read the growth of a hypervolume; `NasError` where it is not a list of pairs of numbers."""
    try:
        return tuple((int(count), float(volume)) for count, volume in histories[name])
    except (TypeError, ValueError):
        refuse(histories, name)


def quality_sentences(quality: SearchQuality) -> list[str]:
    """Return how a search compares with plain ones, and what became of its evaluations."""
    shares = " and ".join(
        f"{quality.hypervolume / volume:.3f} times that of {name} search"
        for name, volume in quality.baselines.items()
        if volume > 0
    )
    parts = [
        f"{quality.num_evaluations} evaluations",
        *([f"{quality.num_shared} of them shared with another device"] if quality.num_shared else []),
        f"{quality.num_wasted} dominated when they were made",
        *(
            [f"order of a batch predicted rightly for {quality.order_right:.0%} of pairs"]
            if quality.order_right is not None
            else []
        ),
        *([f"racing saved {quality.saved_share:.0%} of the images"] if quality.saved_share else []),
    ]
    first = f"Hypervolume {shares} with as many evaluations (replayed on the predictor)" if shares else ""
    return [*([first] if first else []), "; ".join(parts)]
