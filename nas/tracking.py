"""`--track`: the files of a run are followed while they grow, and sent to TensorBoard, MLflow or Weights & Biases.

The files of the run remain the record. A tracker only reads them, so no code that trains or searches knows of it. All
three write below RUN/tracking and need no network, unless MLFLOW_TRACKING_URI or WANDB_MODE say otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

from nas.errors import NasError, did_you_mean

SECONDS_BETWEEN_LOOKS = 1.0


class Tracker(Protocol):
    """Takes figures by name, each series with rising steps."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add a point to every series that `figures` names."""

    def close(self) -> None:
        """Write what is still buffered."""


class TensorBoard:
    """Event files that `tensorboard --logdir` shows."""

    def __init__(self, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.writer.add_text("facts", "\n".join(f"- {key}: {value}" for key, value in facts.items()))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add scalars."""
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush the event file."""
        self.writer.close()


class MLflow:
    """A run of MLflow, in a local database unless MLFLOW_TRACKING_URI names a server."""

    def __init__(self, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
        import mlflow

        folder.mkdir(parents=True, exist_ok=True)
        uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{(folder / 'mlflow.db').resolve()}")
        self.client = mlflow.MlflowClient(uri)
        known = self.client.get_experiment_by_name("nas")
        experiment = self.client.create_experiment("nas") if known is None else known.experiment_id
        self.run_id = self.client.create_run(experiment, run_name=name).info.run_id
        for key, value in facts.items():
            self.client.log_param(self.run_id, key, value)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add metrics."""
        for name, value in figures.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def close(self) -> None:
        """End the run."""
        self.client.set_terminated(self.run_id)


class WeightsAndBiases:
    """A run of Weights & Biases, offline unless WANDB_MODE says otherwise; `wandb sync` uploads it."""

    def __init__(self, folder: Path, name: str, facts: Mapping[str, Any]) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(silent=True)
        self.run = wandb.init(
            project="nas", name=name, dir=str(folder), mode=mode, config=dict(facts), settings=settings
        )

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Add figures against a step of their own, as several files grow at once."""
        self.run.log({**figures, "step": step})

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


# Name -> what makes a tracker of (folder, name, facts), and the package behind it.
TRACKERS: dict[str, tuple[Callable[[Path, str, Mapping[str, Any]], Tracker], str]] = {
    "tensorboard": (TensorBoard, "tensorboardX"),
    "mlflow": (MLflow, "mlflow"),
    "wandb": (WeightsAndBiases, "wandb"),
}


def check_tracker(name: str) -> None:
    """Raise `NasError` for an unknown tracker, and with the install command where its package is missing."""
    from importlib.util import find_spec

    if name not in TRACKERS:
        raise NasError(f"no tracker '{name}'", did_you_mean(name, TRACKERS))
    package = TRACKERS[name][1]
    if find_spec(package) is None:
        raise NasError(f"--track {name} needs the package {package}", f"pip install {package}")


@contextmanager
def tracked(name: str | None, run: Path, files: Mapping[str, Path], resume: bool) -> Iterator[None]:
    """Send every row that is appended to `files`, by the prefix of its series, to a tracker; without a name do nothing.

    A file that exists already is followed from its beginning when the command resumes. Otherwise it is ignored: it
    belongs to an earlier command, and a new file replaces it.
    """
    if name is None:
        yield
        return
    check_tracker(name)
    before = {} if resume else {path: path.stat().st_ino for path in files.values() if path.exists()}
    follower = Follower(lambda: TRACKERS[name][0](run / "tracking", run.name, {"run": str(run)}), files, before)
    thread = Thread(target=follower.follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        follower.ended.set()
        thread.join()
    if follower.failed is not None:
        raise follower.failed


class Follower:
    """Reads growing files from time to time until `ended` is set, then once more; an error is kept in `failed`.

    The tracker is made with the first row: a command that fails at once leaves nothing behind.
    """

    def __init__(
        self, make_tracker: Callable[[], Tracker], files: Mapping[str, Path], before: Mapping[Path, int]
    ) -> None:
        self.make_tracker, self.files, self.before = make_tracker, files, before
        self.tracker: Tracker | None = None
        self.seen = dict.fromkeys(files, 0)
        self.ended = Event()
        self.failed: Exception | None = None

    def follow(self) -> None:
        """Look until the end, all in this one thread, and close the tracker."""
        try:
            while not self.ended.wait(SECONDS_BETWEEN_LOOKS):
                self.look()
            self.look()
            if self.tracker is not None:
                self.tracker.close()
        except Exception as error:  # raised when the work itself is done: a tracker must not stop a training
            self.failed = error

    def look(self) -> None:
        """Log the rows that are new."""
        from nas.files import read_jsonl

        for prefix, path in self.files.items():
            if not path.exists() or path.stat().st_ino == self.before.get(path):
                continue
            rows = read_jsonl(path)
            for number, row in enumerate(rows[self.seen[prefix] :], self.seen[prefix] + 1):
                self.tracker = self.tracker or self.make_tracker()
                self.tracker.log(figures_of(prefix, row), number)
            self.seen[prefix] = len(rows)


def figures_of(prefix: str, row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row by `prefix/name`."""
    numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
    return {f"{prefix}/{name}": float(value) for name, value in numbers.items()}
