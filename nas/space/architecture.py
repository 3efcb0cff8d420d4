"""One network of a search space, as an immutable value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from nas.errors import NasError

Setting = int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its kind, the settings that kind has (sorted by name), and its bit-width."""

    kind: str
    settings: tuple[tuple[str, Setting], ...] = ()
    bits: str | int = "fp"

    @classmethod
    def of(cls, kind: str, bits: str | int = "fp", **settings: Setting) -> Block:
        """Make a block from keyword settings: `Block.of("conv", kernel=3, expansion=2)`."""
        return cls(kind, tuple(sorted(settings.items())), bits)

    def __getitem__(self, name: str) -> Any:
        return dict(self.settings)[name]

    def to_dict(self) -> dict[str, Any]:
        """Turn into JSON types, the kind first."""
        settings = {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings}
        return {"kind": self.kind, **settings, "bits": self.bits}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Block:
        """Read what `to_dict` wrote."""
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in data.items()
            if name not in ("kind", "bits")
        }
        return cls.of(data["kind"], data.get("bits", "fp"), **settings)


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks that share a grid and a width. The depth is the number of blocks."""

    width: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network: input resolution in pixels and stages; the stem is as wide as the first stage.

    Hashable; equal values are equal networks, because a choice that has no effect cannot be written down.
    """

    resolution: int
    stages: tuple[Stage, ...]

    def to_dict(self) -> dict[str, Any]:
        """Turn into JSON types."""
        stages = [
            {"width": stage.width, "blocks": [block.to_dict() for block in stage.blocks]} for stage in self.stages
        ]
        return {"resolution": self.resolution, "stages": stages}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Architecture:
        """Read what `to_dict` wrote; `NasError` where a part is missing or of the wrong type."""
        try:
            stages = tuple(
                Stage(int(stage["width"]), tuple(Block.from_dict(block) for block in stage["blocks"]))
                for stage in data["stages"]
            )
            if not stages or not all(stage.blocks for stage in stages):
                raise ValueError("a network has at least one stage, a stage at least one block")
            return cls(int(data["resolution"]), stages)
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
        except json.JSONDecodeError as error:
            raise NasError(
                f"not an architecture: {error}", "Give the JSON that Architecture.to_json() wrote"
            ) from error
        return cls.from_dict(data)

    @property
    def id(self) -> str:
        """First ten hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:10]
