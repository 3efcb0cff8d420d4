"""What the figures of a latency table mean: device, setting, space, correction, and the evidence behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from nas.errors import NasError
from nas.files import JsonObject
from nas.hardware.measurement.correction import Correction
from nas.space.search_space import SearchSpace

SCHEMA_VERSION = 1
LARGEST = 1e18  # of any number in a table
PROVENANCES = ("measured", "interpolated", "predicted")
NOT_STORED = ("correction", "evidence", "key_order")  # under their own name, as a plain field
# The order in which the .json of a new table holds its keys; a table that was read keeps its own.
DESCRIBED = ("schema_version", "unit", "per", "provenance", "device", "device_kind", "fingerprint", "backend", "dtype")
SETTING = ("batch", "threads", "versions", "protocol", "space", "space_hash", "space_definition", "num_classes")
CONDITIONS = ("resolutions", "null_ms", "date", "load_start", "clocks_start", "load_end", "clocks_end")
MEASURED_KEYS = (*DESCRIBED, *SETTING, *CONDITIONS, "interpolation", "integer", "correction", "validation", "sigma_sys")
PREDICTED_KEYS = (*DESCRIBED, *SETTING, *CONDITIONS, "correction", "sigma_sys", "validation", "prediction")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableScope:
    """What a table's figures hold for, and where they come from."""

    device: str
    backend: str
    dtype: str
    batch: int
    provenance: str

    def __str__(self) -> str:
        return f"{self.device} {self.backend} {self.dtype} batch {self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHeader:
    """The header of a latency table, checked when it is read.

    `sigma_sys` is the relative uncertainty that all rows share. `validation` holds the errors on whole networks, empty
    where none was measured. `evidence` holds what is only shown: protocol, versions, date, data sheet.
    """

    schema_version: int = SCHEMA_VERSION
    unit: str = "ms"
    per: str = "batch"
    provenance: str
    device: str
    device_kind: str
    fingerprint: JsonObject
    backend: str
    dtype: str
    batch: int
    threads: int
    space: str
    space_hash: str
    space_definition: JsonObject
    num_classes: int
    null_ms: float
    correction: Correction
    sigma_sys: float
    validation: JsonObject
    csv_sha256: str = ""
    evidence: JsonObject = field(default_factory=dict)
    key_order: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def scope(self) -> TableScope:
        """Return what the figures hold for."""
        return TableScope(**{item.name: getattr(self, item.name) for item in fields(TableScope)})

    @property
    def date(self) -> str | None:
        """Return the ISO date of the measurement; None for a predicted table."""
        return self.evidence.get("date")

    @property
    def trustworthy(self) -> bool:
        """Whether held-out networks were predicted well enough; True where none was held out."""
        return bool(self.validation.get("trustworthy", True))

    def of(self, space: SearchSpace) -> TableHeader:
        """Return the same header for a part of its space."""
        return replace(self, space_definition=space.to_dict(), space_hash=space.hash)

    def to_json(self) -> JsonObject:
        """Return the object that the table's .json holds, its keys in the order of the file it was read from."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in NOT_STORED}
        content = {**plain, "correction": asdict(self.correction), **self.evidence}
        new = PREDICTED_KEYS if self.provenance == "predicted" else MEASURED_KEYS
        keys = [name for name in self.key_order or new if name in content]
        rest = [name for name in content if name not in keys and name != "csv_sha256"]
        last = [] if "csv_sha256" in keys else ["csv_sha256"]
        return {name: content[name] for name in (*keys, *rest, *last)}


KINDS: dict[str, type] = {
    **dict.fromkeys(("unit", "per", "provenance", "device", "device_kind", "backend", "dtype"), str),
    **dict.fromkeys(("space", "space_hash", "csv_sha256"), str),
    **dict.fromkeys(("schema_version", "batch", "threads", "num_classes"), int),
    **dict.fromkeys(("null_ms", "sigma_sys"), float),
    **dict.fromkeys(("fingerprint", "space_definition", "correction", "validation"), dict),
}


def broken(path: Path, what: str) -> NasError:
    """Return the error that says what is wrong with a table file, and how to get a good one."""
    return NasError(f"the latency table {path} {what}", "Measure it again with nas profile, or restore the file")


def header_from_json(content: JsonObject, path: Path) -> TableHeader:
    """Return the header in a table's .json; `NasError` where a field is missing, of a wrong type or of another schema.

    What the header does not know is kept as evidence.
    """
    for name, kind in KINDS.items():
        if name not in content:
            raise broken(path, f"has no '{name}' in its header")
        accepted = (int, float) if kind is float else kind
        if not isinstance(content[name], accepted) or isinstance(content[name], bool):
            raise broken(path, f"has {name} = {content[name]!r}, which is not of type {kind.__name__}")
    for name, good in (("schema_version", SCHEMA_VERSION), ("unit", "ms"), ("per", "batch")):
        if content[name] != good:
            raise broken(path, f"has {name} {content[name]!r}, this version reads {good!r}")
    for name in ("null_ms", "sigma_sys"):
        if not 0 <= content[name] <= LARGEST:
            raise broken(path, f"has {name} = {content[name]}, which is not a number from 0 up")
    for name in ("batch", "num_classes"):
        if not 1 <= content[name] <= LARGEST:
            raise broken(path, f"has {name} = {content[name]}, which is less than 1, or endless")
    if content["provenance"] not in PROVENANCES:
        raise broken(path, f"has provenance {content['provenance']!r}, not one of {', '.join(PROVENANCES)}")
    plain = {name: content[name] for name in KINDS if name != "correction"}
    evidence = {name: value for name, value in content.items() if name not in KINDS}
    try:
        correction = Correction.from_dict(content["correction"])
    except NasError as error:
        raise broken(path, f"is damaged: {error.message}") from error
    return TableHeader(**plain, correction=correction, evidence=evidence, key_order=tuple(content))
