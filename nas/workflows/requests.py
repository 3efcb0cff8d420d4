"""What each command is asked: one value per command, taken by the command and by its plan for --dry-run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nas.run.search_settings import SearchSettings

if TYPE_CHECKING:
    from nas.hardware.device import Device
    from nas.hardware.measurement.plan import Plan
    from nas.space.search_space import SearchSpace

Overrides = Sequence[str]  # `key=value`, as after --set
Settings = Mapping[str, object]  # of a recipe, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class RayWorkers:
    """Processes that share the work: `count` on this machine, or on the Ray cluster at `address`."""

    count: int = 1
    address: str | None = None

    @property
    def together(self) -> bool:
        """Whether Ray is needed."""
        return self.count > 1 or self.address is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What `nas train-supernet` is asked; `settings` are those of `SupernetRecipe`.

    The number of workers changes the result by rounding only, and may change when a training is resumed.
    """

    space: str
    data: str
    run: Path | None = None
    seed: int = 0
    resume: bool = False
    settings: Settings = field(default_factory=dict)
    overrides: Overrides = ()
    workers: RayWorkers = RayWorkers()
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRequest:
    """What `nas profile` is asked; `device` is this machine, or its GPU."""

    device: Device
    space: SearchSpace
    plan: Plan
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What `nas search` is asked."""

    run: Path | None = None
    devices: Sequence[str]
    settings: SearchSettings = field(default_factory=SearchSettings)
    measured_only: bool = False
    resume: bool = False
    workers: RayWorkers = RayWorkers()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneRequest:
    """What `nas finetune` is asked; `settings` are those of `Recipe`, `start` is `inherited` or `scratch`."""

    run: Path | None = None
    picks: Sequence[str] = ("best",)
    start: str = "inherited"
    seed: int = 0
    settings: Settings = field(default_factory=dict)
    overrides: Overrides = ()
    trials: int = 0
    workers: RayWorkers = RayWorkers()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """What `nas compare` is asked; `pretrained` is a folder with weights of timm models."""

    run: Path | None = None
    device: str = "cpu"
    models: Sequence[str]
    seed: int = 0
    seeds: int = 1
    pretrained: Path | None = None
    workers: RayWorkers = RayWorkers()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What `nas audit` is asked; without a device, it audits the table of the newest search."""

    run: Path | None = None
    subnets: int = 12
    presets: bool = False
    device: str | None = None
    seeds: int = 1
    seed: int = 0
    settings: Settings = field(default_factory=dict)
    overrides: Overrides = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What `nas export` is asked."""

    run: Path | None = None
    pick: str = "best"
    form: str = "onnx"
    dtype: str = "fp32"
    output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What `nas report` is asked."""

    run: Path | None = None
    output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """What `nas demo` is asked; `minutes` is the time that all of it may take."""

    run: Path | None = None
    minutes: float = 10.0
    seed: int = 0
    now: datetime
