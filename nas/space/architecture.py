"""One network of a search space, as an immutable value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from nas.errors import NasError
from nas.files import JsonObject
from nas.space.limits import LARGEST, MOST_PIXELS

Setting = int | float | str | tuple[str, ...]
Bits = str | int | tuple[str | int, ...]  # "fp", or the bits of a weight; several for a module that holds all
BITS: tuple[str | int, ...] = ("fp", 8, 4)  # what a weight can have


def read_bits(value: Any) -> str | int:
    """Accept one of `BITS`; ValueError for anything else."""
    if isinstance(value, bool | float) or value not in BITS:
        raise ValueError(f"no bits {value!r}")
    return value


def read_whole(value: Any, most: int, what: str) -> int:
    """Accept a whole number from 1 to `most`; ValueError for any other, infinity and NaN among them."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= most and value % 1 == 0
    if not good:
        raise ValueError(f"{what} must be a whole number from 1 to {most}")
    return int(value)


def read_setting(value: Any) -> Setting:
    """Accept a finite number, a text or a list of texts; ValueError for anything else."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return tuple(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a setting must be a number, a text or a list of texts")
    if not isinstance(value, str) and not abs(value) <= LARGEST:  # infinity and NaN are not
        raise ValueError(f"a setting must be a number of at most {LARGEST}")
    return value


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its kind, the settings that kind has (sorted by name), and its bit-width."""

    kind: str
    settings: tuple[tuple[str, Setting], ...] = ()
    bits: str | int = "fp"

    @classmethod
    def of(cls, kind: str, bits: str | int = "fp", **settings: Setting) -> Block:
        """Make a block from keyword settings: `Block.of("conv", kernel=3, expansion=2)`. 4.0 is written 4."""
        whole = {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in settings.items()}
        return cls(kind, tuple(sorted(whole.items())), bits)

    def __getitem__(self, name: str) -> Any:
        return dict(self.settings)[name]

    def to_dict(self) -> JsonObject:
        """Turn into JSON types, the kind first."""
        settings = {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings}
        return {"kind": self.kind, **settings, "bits": self.bits}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Block:
        """Read what `to_dict` wrote."""
        settings = {name: read_setting(value) for name, value in data.items() if name not in ("kind", "bits")}
        if not isinstance(data["kind"], str):
            raise ValueError(f"no kind of block {data['kind']!r}")
        return cls.of(data["kind"], read_bits(data.get("bits", "fp")), **settings)


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks that share a grid and a width. The depth is the number of blocks.

    `stride` belongs to the step from the stage before: 2 halves the grid, 1 only changes the width. The stem makes the
    grid of the first stage, which keeps the default. `entry_bits` is the bit-width of that step, or of the stem.
    """

    width: int
    blocks: tuple[Block, ...]
    stride: int = 2
    entry_bits: str | int = "fp"

    def to_dict(self) -> JsonObject:
        """Turn into JSON types; a stride of 2 and a float entry are left out."""
        extra: JsonObject = {} if self.stride == 2 else {"stride": self.stride}
        extra |= {} if self.entry_bits == "fp" else {"entry_bits": self.entry_bits}
        return {"width": self.width, **extra, "blocks": [block.to_dict() for block in self.blocks]}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Stage:
        """Read what `to_dict` wrote."""
        stride = read_whole(data.get("stride", 2), 2, "stride")
        if not data["blocks"]:
            raise ValueError("a stage has at least one block")
        blocks = tuple(Block.from_dict(block) for block in data["blocks"])
        return cls(read_whole(data["width"], LARGEST, "width"), blocks, stride, read_bits(data.get("entry_bits", "fp")))


def patch_size(stem: str) -> int | None:
    """Return the N of a stem `patch-N`, None for `conv` and `double-conv`; ValueError for any other text."""
    if stem in ("conv", "double-conv"):
        return None
    name, _, size = stem.partition("-")
    if name != "patch" or not (size.isascii() and size.isdecimal()) or size.startswith("0"):
        raise ValueError(f"no stem '{stem}'")
    return int(size)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network: input resolution in pixels, stages, and the stem, which is as wide as the first stage.

    Stems: `conv` (3x3, stride 2), `double-conv` (two of them), `patch-N` (N x N patches with learnt positions).
    `head_bits` is the bit-width of the classifier.
    Hashable; equal values are equal networks, because a choice that has no effect cannot be written down.
    """

    resolution: int
    stages: tuple[Stage, ...]
    stem: str = "conv"
    head_bits: str | int = "fp"

    def to_dict(self) -> JsonObject:
        """Turn into JSON types; the stem `conv` and a float head are left out."""
        extra: JsonObject = {} if self.stem == "conv" else {"stem": self.stem}
        extra |= {} if self.head_bits == "fp" else {"head_bits": self.head_bits}
        return {"resolution": self.resolution, **extra, "stages": [stage.to_dict() for stage in self.stages]}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Architecture:
        """Read what `to_dict` wrote; `NasError` where a part is missing or of the wrong type."""
        try:
            stages = tuple(Stage.from_dict(stage) for stage in data["stages"])
            if not stages or stages[0].stride != 2:
                raise ValueError("a network has at least one stage, and the first has no stride")
            stem = data.get("stem", "conv")
            patch_size(stem)
            resolution = read_whole(data["resolution"], MOST_PIXELS, "resolution")
            return cls(resolution, stages, stem, read_bits(data.get("head_bits", "fp")))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NasError(
                f"not an architecture: {error!r}", "Give the JSON that Architecture.to_json() wrote"
            ) from error

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read canonical (or any equivalent) JSON."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise NasError(
                f"not an architecture: {error}", "Give the JSON that Architecture.to_json() wrote"
            ) from error
        return cls.from_dict(data)

    @property
    def id(self) -> str:
        """First ten hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:10]
