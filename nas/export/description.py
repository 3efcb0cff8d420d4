"""model.json: what is known of a fine-tuned network, and of the files that it was exported to.

Accuracies are in [0, 1]; latencies are in milliseconds a batch. Files of earlier versions lack some fields: these are
None, and are not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from nas.export.parity import Parity
from nas.files import JsonObject
from nas.space.architecture import Architecture

Settings = Mapping[str, object]  # of a recipe, by name, in JSON types


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDescription:
    """How a network was trained. `recipe` describes `settings` in words; tuning began at `base_settings`."""

    data: str
    start: str  # inherited or scratch
    epochs: int
    images: int
    recipe: str
    settings: Settings
    seed: int
    trials: int | None = None
    base_settings: Settings | None = None

    @classmethod
    def from_json(cls, data: JsonObject) -> TrainingDescription:
        """Read the fields from those of model.json."""
        return cls(
            **{name: data[name] for name in ("data", "start", "epochs", "images", "recipe", "settings", "seed")},
            trials=data.get("trials"),
            base_settings=data.get("base_settings"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsDescription:
    """What integer bits cost a network, and which of its operators run on integer kernels."""

    float_accuracy: float  # of the network before it had bits, on the test split
    integer_kernels: Mapping[str, int]
    promised_kernels: Mapping[str, int]
    file_bytes: int  # of its ONNX file

    @classmethod
    def from_json(cls, data: JsonObject) -> BitsDescription:
        """Read the fields from those of model.json."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """A fine-tuned network as RUN/models/ID/model.json describes it.

    `accuracy` is that on the test split; `inherited_accuracy` is that of the weights of the supernet on the validation
    split. The latency is that of the search which chose the network. `bits` is None for a float network.
    """

    architecture: Architecture
    num_classes: int
    training: TrainingDescription
    bits: BitsDescription | None
    inherited_accuracy: float
    validation_accuracy: float
    accuracy: float
    latency_ms: float
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    provenance: str
    num_params: int
    macs: int
    size_bytes: int

    @property
    def id(self) -> str:
        """Return the id of the architecture."""
        return self.architecture.id

    @property
    def resolution(self) -> int:
        """Return the side of the input in pixels."""
        return self.architecture.resolution

    @classmethod
    def from_json(cls, data: JsonObject) -> ModelDescription:
        """Read the content of model.json, of an exported network too."""
        accuracies = ("inherited_accuracy", "validation_accuracy", "accuracy")
        sizes = ("num_params", "macs", "size_bytes")
        return cls(
            architecture=Architecture.from_dict(data["architecture"]),
            num_classes=data["num_classes"],
            training=TrainingDescription.from_json(data),
            bits=BitsDescription.from_json(data) if "float_accuracy" in data else None,
            latency_low_ms=data.get("latency_low_ms"),
            latency_high_ms=data.get("latency_high_ms"),
            **{name: data[name] for name in (*accuracies, "latency_ms", "provenance", *sizes)},
        )

    def to_json(self) -> JsonObject:
        """Return the content of model.json, in its order."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        measured = {name: value for name, value in own.items() if name not in ("architecture", "training", "bits")}
        return {
            "id": self.id,
            "architecture": self.architecture.to_dict(),
            "resolution": self.resolution,
            "num_classes": measured.pop("num_classes"),
            **without_none(asdict(self.training)),
            **({} if self.bits is None else asdict(self.bits)),
            **without_none(measured),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How an image becomes an input: mean and deviation by channel, of values in [0, 1], and how it is resized."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str

    @classmethod
    def from_json(cls, data: JsonObject) -> Preprocessing:
        """Read a part of model.json."""
        return cls(mean=tuple(data["mean"]), std=tuple(data["std"]), resize=data["resize"])

    def to_json(self) -> JsonObject:
        """Return the part of model.json."""
        return {"mean": list(self.mean), "std": list(self.std), "resize": self.resize}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLatency:
    """What a network takes on a device that a search was made for; no interval where the whole network was measured."""

    device: str
    backend: str
    dtype: str
    batch: int
    provenance: str
    latency_ms: float
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None

    @classmethod
    def from_json(cls, data: JsonObject) -> DeviceLatency:
        """Read a part of model.json."""
        return cls(
            **{name: data[name] for name in ("device", "backend", "dtype", "batch", "provenance", "latency_ms")},
            latency_low_ms=data.get("latency_low_ms"),
            latency_high_ms=data.get("latency_high_ms"),
        )

    def to_json(self) -> JsonObject:
        """Return the part of model.json."""
        return without_none(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file of a network, the `runtime` that it was run in, and how far its logits were from those of the network."""

    format: str
    dtype: str
    bytes: int
    sha256: str
    runtime: str
    parity: Parity

    @classmethod
    def from_json(cls, data: JsonObject) -> ExportedFile:
        """Read a part of model.json."""
        plain = {name: data[name] for name in ("format", "dtype", "bytes", "sha256", "runtime")}
        return cls(**plain, parity=Parity(**data["parity"]))

    def to_json(self) -> JsonObject:
        """Return the part of model.json."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedDescription:
    """An exported network as the model.json beside its files describes it; `files` are by name."""

    model: ModelDescription
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    latencies: tuple[DeviceLatency, ...]
    files: Mapping[str, ExportedFile]

    @classmethod
    def from_json(cls, data: JsonObject) -> ExportedDescription:
        """Read the content of model.json."""
        return cls(
            model=ModelDescription.from_json(data),
            classes=tuple(data["classes"]),
            preprocessing=Preprocessing.from_json(data["preprocessing"]),
            latencies=tuple(DeviceLatency.from_json(latency) for latency in data["latencies"]),
            files=files_from_json(data["files"]),
        )

    def to_json(self) -> JsonObject:
        """Return the content of model.json, in its order."""
        return {
            **self.model.to_json(),
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_json(),
            "latencies": [latency.to_json() for latency in self.latencies],
            "files": {name: file.to_json() for name, file in self.files.items()},
        }


def files_from_json(data: JsonObject) -> dict[str, ExportedFile]:
    """Read the files of model.json, by name."""
    return {name: ExportedFile.from_json(file) for name, file in data.items()}


def without_none(values: JsonObject) -> JsonObject:
    """Leave out the values that are None."""
    return {name: value for name, value in values.items() if value is not None}
