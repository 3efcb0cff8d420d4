"""Accuracies of subnets with inherited weights, counted part after part of the validation split, each part once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nas.run.run import Run
from nas.search.problem import Counts, Objective, Stages
from nas.search.racing import Job, Outcome, Workers
from nas.space.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor

    from nas.data.splits import AnySplit
    from nas.evaluation.activation_cache import SubnetCounts
    from nas.supernet.supernet import Supernet

RACED = (0.125, 0.25, 0.5, 1.0)  # shares of the validation split at which a race may stop
WHOLE = (1.0,)


class InheritedAccuracy:
    """Counts right answers of a run's subnets, each with BatchNorm statistics of its own.

    Weights and images are loaded when the first subnet is counted, or when this goes to another process: they travel
    with it, so that nothing is read there. `counted` holds what is known of each architecture.
    """

    def __init__(self, run: Run, shares: Sequence[float] = WHOLE) -> None:
        self.run: Run | None = run
        self.shares = tuple(shares)
        self.counted: dict[Architecture, Counts] = {}
        self.loaded: tuple[Supernet, Tensor, list[AnySplit]] | None = None  # weights, calibration images, parts
        self.counts: SubnetCounts | None = None

    @property
    def objective(self) -> Objective:
        """The accuracy to be made large, raced over the parts of the split."""
        return Objective("accuracy", "max", self.of, expensive=True, stages=Stages(self.shares, self.count))

    def of(self, architectures: Sequence[Architecture]) -> list[float]:
        """Accuracy of each architecture on the whole validation split; NaN where memory does not suffice."""
        return [self.accuracy(architecture) for architecture in architectures]

    def accuracy(self, architecture: Architecture) -> float:
        """Accuracy of one architecture, from what is counted and what is not yet."""
        counted = self.counted.get(architecture, ())
        try:
            for stage in range(len(counted), len(self.shares)):
                counted = (*counted, self.count(architecture, stage))
        except MemoryError:
            return math.nan
        self.counted[architecture] = counted
        return sum(right for right, _ in counted) / sum(count for _, count in counted)

    def count(self, architecture: Architecture, stage: int) -> tuple[float, float]:
        """Return how many images of one part are classified correctly, NaN where logits are not, and its size.

        `MemoryError` where memory does not suffice, by whatever name PyTorch calls it; what was kept is let go then.
        """
        from nas.evaluation.activation_cache import SubnetCounts

        _, _, parts = loaded = self.load()
        try:
            self.counts = self.counts or SubnetCounts(*loaded)
            return self.counts.num_correct(architecture, stage), len(parts[stage])
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            self.counts = None
            raise MemoryError(f"evaluating {architecture.id}: {error}") from error

    def load(self) -> tuple[Supernet, Tensor, list[AnySplit]]:
        """Load the weights and the images, once."""
        if self.loaded is None:
            from nas.data.splits import cut

            assert self.run is not None, "what comes from another process is loaded"
            dataset = self.run.dataset()
            self.loaded = self.run.supernet(), dataset.calibration(), cut(dataset.validation(), self.shares)
        return self.loaded

    def __getstate__(self) -> dict[str, Any]:
        """Go to another process with weights and images, without the folder they came from."""
        return {"run": None, "shares": self.shares, "counted": {}, "loaded": self.load(), "counts": None}

    def remembering(self, workers: Workers) -> Workers:
        """Let workers go on from what is counted already, and remember what they count."""

        def evaluate(jobs: Sequence[Job]) -> Iterator[Outcome]:
            informed = [replace(job, counted=self.counted.get(job.candidate, ())) for job in jobs]
            return remembered(informed, workers(informed))  # which begin now, before the first outcome is asked for

        def remembered(jobs: Sequence[Job], outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
            for job, outcome in zip(jobs, outcomes, strict=True):
                self.counted[job.candidate] = outcome.counted
                yield outcome

        return evaluate


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory does not suffice; that of PyTorch on a CPU has no type of its own."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
