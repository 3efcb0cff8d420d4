"""The set of all networks that may be chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import NasError
from nas.space.architecture import Architecture, Block, Stage
from nas.space.cost import operator_cost
from nas.space.genome import GenomeLayout, active_genes, decode_genome, encode_architecture, gene_layout
from nas.space.kinds import is_active
from nas.space.operator import Operator, operators, place, place_stem, place_step, stage_grids
from nas.space.preset import Preset


@dataclass(frozen=True)
class StageSpace:
    """The choices of one stage. `kinds` maps a block kind to its settings, each with its choices.

    `stride` is no choice: the step from the stage before halves the grid (2) or keeps it (1). `bits` are those of every
    kind but those in `kind_bits`; `entry_bits` are those of the stem, or of the step, that makes the stage's grid.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kinds: dict[str, dict[str, tuple[Any, ...]]]
    bits: tuple[str | int, ...] = ("fp",)
    stride: int = 2
    entry_bits: tuple[str | int, ...] = ("fp",)
    kind_bits: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)

    def bits_of(self, kind: str) -> tuple[str | int, ...]:
        """Give the choices of bits of one kind."""
        return self.kind_bits.get(kind, self.bits)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every distinct block of the stage: settings without effect are left out, not repeated."""
        found: dict[Block, None] = {}
        for kind, settings in self.kinds.items():
            for values in product(*settings.values()):
                named = dict(zip(settings, values, strict=True))
                kept = {name: value for name, value in named.items() if is_active(name, named)}
                found.update({Block.of(kind, bits, **kept): None for bits in self.bits_of(kind)})
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Turn into the keys of a space file; a stride of 2 and a float entry are left out."""
        stride = {} if self.stride == 2 else {"stride": self.stride}
        entry = {} if self.entry_bits == ("fp",) else {"entry_bits": list(self.entry_bits)}
        bits = {kind: list(self.bits_of(kind)) for kind in self.kinds} if self.kind_bits else list(self.bits)
        choices = {"width": list(self.widths), "depth": list(self.depths), "bits": bits}
        return {**choices, **entry, **stride, "blocks": self.kinds}


@dataclass(frozen=True)
class SearchSpace:
    """Stages with elastic width, depth, resolution and blocks behind a stem; a design space for `nas.search`.

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
    layout: GenomeLayout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", gene_layout(self.resolutions, self.stages, self.head_bits))

    @classmethod
    def load(cls, name: str | Path) -> SearchSpace:
        """Load a shipped space by its name, or a YAML file by its path; `NasError` says what is wrong and where."""
        from nas.space.space_file import load_space

        return load_space(name)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SearchSpace:
        """Read what `to_dict` wrote."""
        from nas.space.space_file import parse_space

        return parse_space(json.dumps(data), "a stored space")

    def to_dict(self) -> dict[str, Any]:
        """Turn into JSON types, with the keys of a space file."""
        presets = {name: preset.to_dict() for name, preset in self.presets.items()}
        return {**self.definition(), **({"presets": presets} if presets else {})}

    def definition(self) -> dict[str, Any]:
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

    def with_classes(self, num_classes: int) -> SearchSpace:
        """Give the same space for another number of classes."""
        return replace(self, num_classes=num_classes)

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the definition; presets change neither weights nor tables."""
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()[:16]

    # The genome: a categorical integer vector.

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of choices of each gene."""
        return self.layout.cardinalities

    def active(self, genomes: np.ndarray) -> np.ndarray:
        """Say which genes have an effect: int [n, genes] -> bool [n, genes]."""
        return active_genes(self.layout, genomes)

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Turn an architecture into its canonical genome, int64 [genes]; `NasError` where it is not in the space."""
        if architecture.stem != self.stem:
            raise NasError(f"the architecture is not in this space: its stem is {architecture.stem}, not {self.stem}")
        genome = encode_architecture(self.layout, architecture)
        if self.decode(genome) != architecture:
            what = "a block lacks a setting, or a stage has another stride"
            raise NasError(f"the architecture is not in this space: {what}", "Give every setting")
        return genome

    def decode(self, genome: np.ndarray) -> Architecture:
        """Build the architecture of a genome [genes]; inactive genes are not read."""
        return decode_genome(self.layout, self.stages, self.stem, genome)

    # The set.

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture):
            return False
        try:
            self.encode(architecture)
        except NasError:
            return False
        return True

    @cached_property
    def size(self) -> int:
        """Number of distinct architectures."""
        total = len(self.resolutions) * len(self.head_bits)
        for stage in self.stages:
            total *= (
                len(stage.entry_bits) * len(stage.widths) * sum(len(stage.blocks) ** depth for depth in stage.depths)
            )
        return total

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw every gene uniformly."""
        return self.decode(rng.integers(0, self.cardinalities))

    def smallest(self) -> Architecture:
        """Give the float architecture of fewest MACs."""
        return self._smallest

    def largest(self) -> Architecture:
        """Give the float architecture of most MACs."""
        return self._largest

    @cached_property
    def _smallest(self) -> Architecture:
        return self._extreme(min, +1)

    @cached_property
    def _largest(self) -> Architecture:
        return self._extreme(max, -1)

    def _extreme(self, extreme: Any, sign: int) -> Architecture:
        def chosen(stage: StageSpace, width: int, grid: int) -> Block:
            floats = [block for block in stage.blocks if block.bits == "fp"]
            costs = [operator_cost(place(block, width, grid)) for block in floats]
            keys = [(sign * cost.macs, sign * cost.num_params) for cost in costs]
            return floats[keys.index(min(keys))]

        resolution, stages = extreme(self.resolutions), []
        for stage, grid in zip(self.stages, self.grids(resolution), strict=True):
            width = extreme(stage.widths)
            stages.append(Stage(width, (chosen(stage, width, grid),) * extreme(stage.depths), stage.stride))
        return Architecture(resolution, tuple(stages), self.stem)

    def grids(self, resolution: int) -> tuple[int, ...]:
        """Give the side of each stage's grid of tokens at an input resolution."""
        return stage_grids(self.stem, resolution, (stage.stride for stage in self.stages))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yield the architectures that differ in one active gene."""
        genome = self.encode(architecture)
        for index in np.flatnonzero(self.active(genome)[0]):
            for value in range(self.cardinalities[index]):
                if value != genome[index]:
                    changed = genome.copy()
                    changed[index] = value
                    yield self.decode(changed)

    def everything(self) -> Iterator[Architecture]:
        """Yield every architecture once; meant for spaces small enough for brute force."""
        options = [
            [
                Stage(width, blocks, stage.stride, entry)
                for width in stage.widths
                for depth in stage.depths
                for blocks in product(stage.blocks, repeat=depth)
                for entry in stage.entry_bits
            ]
            for stage in self.stages
        ]
        for resolution in self.resolutions:
            for stages, head_bits in product(product(*options), self.head_bits):
                yield Architecture(resolution, stages, self.stem, head_bits)

    def operators(self) -> tuple[Operator, ...]:
        """List every distinct operator that occurs in some architecture: the rows of a latency table."""
        from nas.space.bits import transitions

        found: dict[Operator, None] = {}
        for resolution in self.resolutions:
            grids = self.grids(resolution)
            for index, (stage, grid) in enumerate(zip(self.stages, grids, strict=True)):
                for width, bits in product(stage.widths, stage.entry_bits):
                    if index == 0:
                        found[place_stem(self.stem, width, resolution, bits)] = None
                    else:
                        for before in self.stages[index - 1].widths:
                            found[place_step(stage.stride, before, width, grids[index - 1], bits)] = None
                found.update({place(block, width, grid): None for width in stage.widths for block in stage.blocks})
            for width, bits in product(self.stages[-1].widths, self.head_bits):
                found[Operator("head", width, self.num_classes, grids[-1], (), bits)] = None
        return (*found, *transitions(self))

    def operators_of(self, architecture: Architecture) -> tuple[Operator, ...]:
        """List the operators of one architecture in the order they run."""
        return operators(architecture, self.num_classes)
