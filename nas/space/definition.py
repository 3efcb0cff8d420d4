"""What a space file says: the choices of a search space and its presets, as plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.files import JsonObject
from nas.space.preset import Preset
from nas.space.stage_space import StageSpace


@dataclass(frozen=True)
class SpaceDefinition:
    """The choices of a search space. `nas.space.search_space.SearchSpace` is what samples and lists them.

    `presets` are some of its architectures under names. They are no part of what the space is: neither of its hash nor
    of its equality.
    """

    name: str
    num_classes: int
    resolutions: tuple[int, ...]
    stages: tuple[StageSpace, ...]
    stem: str = "conv"
    head_bits: tuple[str | int, ...] = ("fp",)
    presets: Mapping[str, Preset] = field(default_factory=dict, compare=False)

    def to_dict(self) -> JsonObject:
        """Turn into JSON types, with the keys of a space file."""
        presets = {name: preset.to_dict() for name, preset in self.presets.items()}
        return {**self.definition(), **({"presets": presets} if presets else {})}

    def definition(self) -> JsonObject:
        """Turn what the space is, all but its presets, into JSON types with the keys of a space file."""
        plain = {
            "name": self.name,
            "num_classes": self.num_classes,
            "resolution": list(self.resolutions),
            **({} if self.stem == "conv" else {"stem": self.stem}),
            **({} if self.head_bits == ("fp",) else {"head_bits": list(self.head_bits)}),
            "stages": [stage.to_dict() for stage in self.stages],
        }
        return json.loads(json.dumps(plain))

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the definition; presets change neither weights nor tables."""
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()[:16]
