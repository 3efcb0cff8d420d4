"""Trainings that run two at a time, are judged and written down: a line each, so that none is done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from torch import nn

from nas.files import JsonObject, append_jsonl, read_jsonl
from nas.nn.threads import AT_ONCE, divided_cores
from nas.progress import Console
from nas.training.network import OnStep, Recipe

Trained = TypeVar("Trained")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob(Generic[Trained]):
    """What is trained: `make` gives the network as it begins, `train` what becomes of it within `steps` steps.

    It is the same as another one where `id`, `seed` and `settings` are; `facts` are written down beside them.
    """

    id: str
    seed: int
    steps: int
    make: Callable[[], nn.Module]
    train: Callable[[nn.Module, OnStep], Trained]
    settings: JsonObject = field(default_factory=dict)
    facts: JsonObject = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return trainings of the same settings apart."""
        return f"{self.id}/{self.seed}"


def side_by_side(
    trainings: Sequence[TrainingJob[Trained]], what: str, console: Console, done: Callable[[str, Trained], None]
) -> None:
    """Run trainings, two at a time; `done` is called with the name and the result of each, one call at a time."""
    steps = dict.fromkeys((training.name for training in trainings), 0)
    stopped, one_at_a_time = Event(), Lock()

    def run(training: TrainingJob[Trained]) -> None:
        def on_step(step: int, total: int) -> None:
            if stopped.is_set():
                raise CancelledError
            steps[training.name] = step
            advance(sum(steps.values()), "")

        trained = training.train(training.make(), on_step)
        with one_at_a_time:
            advance(sum(steps.values()), f"judging {training.id}")
            done(training.name, trained)
            advance(sum(steps.values()), f"{training.id} done")

    total = sum(training.steps for training in trainings)
    with divided_cores(), ThreadPoolExecutor(AT_ONCE) as pool, console.task(what, total) as advance:
        try:
            for ended in as_completed([pool.submit(run, training) for training in trainings]):
                ended.result()
        except BaseException:  # Ctrl-C, or one training failed: the other ends at its next step, none begins
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def train_each(
    trainings: Sequence[TrainingJob[Trained]],
    judge: Callable[[Trained], Mapping[str, float]],
    path: Path,
    what: str,
    console: Console,
) -> dict[str, JsonObject]:
    """Train what has no line in `path` yet, and add its line as soon as it is judged; return the lines by name."""
    known = matching_rows(read_jsonl(path, repair=True), trainings)
    left = {training.name: training for training in trainings if training.name not in known}

    def write(name: str, trained: Trained) -> None:
        training = left[name]
        row = {"id": training.id, "seed": training.seed, **judge(trained), **training.settings, **training.facts}
        append_jsonl(path, row)
        known[name] = row

    if left:
        side_by_side(list(left.values()), what, console, write)
    return known


def matching_rows(rows: Iterable[JsonObject], trainings: Sequence[TrainingJob[Any]]) -> dict[str, JsonObject]:
    """Return the rows that tell of exactly these trainings, by name."""
    wanted = {training.name: training for training in trainings}
    known = {}
    for row in rows:
        training = wanted.get(f"{row['id']}/{row['seed']}")
        if training and all(same(row.get(name), value) for name, value in training.settings.items()):
            known[training.name] = row
    return known


def same(written: Any, wanted: Any) -> bool:
    """Whether a setting is the one written down; a recipe lacks the fields that came later, neutral ones."""
    if isinstance(written, Mapping) and isinstance(wanted, Mapping):
        return {**asdict(Recipe()), **written} == {**asdict(Recipe()), **wanted}
    return bool(written == wanted)
