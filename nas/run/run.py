"""A run: everything that is known about one supernet and what came after it. No other module knows its file names."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nas.errors import NasError
from nas.files import digest, locked
from nas.run.folder import MANIFEST, RUNS, create_run, find_run, newest, next_number
from nas.run.manifest import Manifest, read_manifest, write_manifest
from nas.run.search import Search
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from datetime import datetime

    from nas.data.splits import Dataset
    from nas.supernet.supernet import Supernet

WEIGHTS, LOG, CONFIG = "supernet.safetensors", "training.jsonl", "config.yaml"


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder: `Run.find()` is the newest one under `runs/`."""

    path: Path

    @classmethod
    def find(cls, path: Path | str | None = None) -> Self:
        """Return the run in `path`, or the newest under `runs/`; `NasError` where there is none."""
        return cls(find_run(None if path is None else Path(path)))

    @classmethod
    def create(cls, path: Path | None, command: str, now: datetime) -> Self:
        """Make the folder of a new run; `NasError` where `path` already holds one."""
        return cls(create_run(path, command, now))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def manifest(self) -> Manifest:
        """Read run.json."""
        return read_manifest(self.path / MANIFEST)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write run.json: from now on the folder is a run."""
        write_manifest(self.path / MANIFEST, manifest)

    def next_number(self) -> int:
        """Return the number that this run gets among those beside it."""
        return next_number(self.path.parent.glob(f"*/{MANIFEST}"))

    def locked(self) -> AbstractContextManager[None]:
        """Hold the run's lock; `NasError` names the process that writes to the run already."""
        return locked(self.path)

    def space(self) -> SearchSpace:
        """Return the search space that the supernet was trained on."""
        return SearchSpace.from_dict(self.manifest.space_definition)

    def dataset(self) -> Dataset:
        """Load the data set that the supernet was trained on."""
        from nas.data.datasets import load_dataset

        manifest = self.manifest
        return load_dataset(manifest.data, manifest.seed)

    def supernet(self) -> Supernet:
        """Load the trained supernet, in eval mode."""
        from nas.run.models import read_supernet

        return read_supernet(self.weights_path, self.space())

    def weights_digest(self) -> str:
        """Return the SHA-256 of the supernet's weights; `NasError` where it is not trained."""
        if not self.weights_path.is_file():
            what = f"{self.weights_path} is missing: the run has no trained supernet"
            raise NasError(what, "Train it: nas train-supernet --resume")
        return digest(self.weights_path)

    def search(self, device: str) -> Search:
        """Return the search for a device, whether there is one yet or not."""
        return Search(self.path / "search" / device)

    def searches(self) -> list[Search]:
        """Return the finished searches by name: one per device, and older ones under other names."""
        folders = sorted(path.parent for path in self.path.glob("search/*/front.json"))
        return [Search(folder) for folder in folders]

    def newest_search(self) -> Search:
        """Return the newest finished search; `NasError` where there is none."""
        folders = [search.path for search in self.searches()]
        if not folders:
            raise NasError(f"{self} has no finished search", "Run: nas search --device cpu --max-latency 5ms")
        return Search(newest(folders, "front.json"))

    def model(self, identity: str) -> Path:
        """Return the folder of a fine-tuned network."""
        return self.path / "models" / identity

    def models(self) -> list[Path]:
        """Return the folders of the fine-tuned networks, by id."""
        return sorted(path.parent for path in self.path.glob("models/*/model.json"))

    def export(self, identity: str) -> Path:
        """Return the folder that a network is exported to."""
        return self.path / "exports" / identity

    @property
    def weights_path(self) -> Path:
        """Return the path of the supernet's weights."""
        return self.path / WEIGHTS

    @property
    def log_path(self) -> Path:
        """Return the path of training.jsonl, a line per epoch."""
        return self.path / LOG

    @property
    def config_path(self) -> Path:
        """Return the path of config.yaml, which `nas train-supernet --config` runs again."""
        return self.path / CONFIG

    @property
    def tuning_path(self) -> Path:
        """Return the folder of the trials of recipes."""
        return self.path / "tuning"

    @property
    def comparison_path(self) -> Path:
        """Return the path of compare.csv."""
        return self.path / "compare.csv"

    @property
    def compared_path(self) -> Path:
        """Return the path of the trainings of a comparison, a line each."""
        return self.path / "compare" / "trained.jsonl"

    @property
    def audit_path(self) -> Path:
        """Return the path of audit.json."""
        return self.path / "audit.json"

    @property
    def audited_path(self) -> Path:
        """Return the path of the trainings of an audit, a line each."""
        return self.path / "audit" / "alone.jsonl"

    @property
    def transfer_path(self) -> Path:
        """Return the path of transfer.csv: fronts on each other's devices."""
        return self.path / "search" / "transfer.csv"

    @property
    def report_path(self) -> Path:
        """Return the path of report.html."""
        return self.path / "report.html"


def all_runs() -> list[Run]:
    """Return the runs under `runs/` by name."""
    return [Run(path.parent) for path in sorted(RUNS.glob(f"*/{MANIFEST}"))]


def load_supernet(run: Path | str | None = None) -> Supernet:
    """Load the trained supernet of a run, in eval mode; the newest run under `runs/` without a folder."""
    return Run.find(run).supernet()
