"""Everything that a search's result depends on, besides the weights and the latency table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from nas.files import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a chosen network must keep to; None: no limit."""

    max_latency_ms: float | None = None
    max_params: float | None = None
    max_size_bytes: float | None = None
    min_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChoice:
    """Which latency table of a device is meant; what is None comes from the device's default table."""

    backend: str | None = None
    dtype: str | None = None
    batch: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items() if value is not None)


ANY_TABLE = TableChoice()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Limits, algorithm and budget of a search; `batch` subnets are chosen at a time, for all workers."""

    limits: Limits = field(default_factory=Limits)
    algorithm: str = "surrogate"
    budget: int = 200
    batch: int = 10
    ahead: int = 0
    seed: int = 0
    racing: bool = False
    table: TableChoice = ANY_TABLE

    @classmethod
    def from_json(cls, content: JsonObject) -> SearchSettings:
        """Read settings from a search.json; those that an earlier version did not know keep their default."""
        plain = {name: content[name] for name in ("algorithm", "budget", "batch", "seed")}
        later = {name: content[name] for name in ("ahead", "racing") if name in content}
        return cls(limits=Limits(**content["limits"]), table=TableChoice(**content.get("table", {})), **plain, **later)
