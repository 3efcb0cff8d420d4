"""Fixed architectures that a space names: published hand-designs in the terms of its operators."""

from __future__ import annotations

from dataclasses import dataclass

from nas.files import JsonObject
from nas.space.architecture import Architecture, Block


@dataclass(frozen=True, slots=True)
class Preset:
    """A hand-designed architecture of a space: its name and where the idea comes from."""

    name: str
    architecture: Architecture
    source: str

    def to_dict(self) -> JsonObject:
        """Turn into JSON types, with the keys of a space file; the name is the key under which it stands there."""
        stages = [
            {
                "width": stage.width,
                **({} if stage.entry_bits == "fp" else {"entry_bits": stage.entry_bits}),
                "blocks": [block_entry(block) for block in stage.blocks],
            }
            for stage in self.architecture.stages
        ]
        whole = self.architecture
        head = {} if whole.head_bits == "fp" else {"head_bits": whole.head_bits}
        return {"source": self.source, "resolution": whole.resolution, **head, "stages": stages}


def block_entry(block: Block) -> JsonObject:
    """Write a block as a space file does: `{kind: {setting: value}}`."""
    settings = {name: value for name, value in block.to_dict().items() if name != "kind" and (name, value) != BITS}
    return {block.kind: settings}


BITS = ("bits", "fp")  # what is left out: every block has it unless it says otherwise
