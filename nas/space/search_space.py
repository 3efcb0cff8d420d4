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

    `stride` is no choice: the step from the stage before halves the grid (2) or keeps it (1).
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kinds: dict[str, dict[str, tuple[Any, ...]]]
    bits: tuple[str | int, ...] = ("fp",)
    stride: int = 2

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every distinct block of the stage: settings without effect are left out, not repeated."""
        found: dict[Block, None] = {}
        for kind, settings in self.kinds.items():
            for values in product(*settings.values()):
                named = dict(zip(settings, values, strict=True))
                kept = {name: value for name, value in named.items() if is_active(name, named)}
                found.update({Block.of(kind, bits, **kept): None for bits in self.bits})
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Turn into the keys of a space file; a stride of 2 is left out."""
        stride = {} if self.stride == 2 else {"stride": self.stride}
        choices = {"width": self.widths, "depth": self.depths, "bits": self.bits}
        return {**{name: list(values) for name, values in choices.items()}, **stride, "blocks": self.kinds}


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
    presets: Mapping[str, Preset] = field(default_factory=dict, compare=False)
    layout: GenomeLayout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", gene_layout(self.resolutions, self.stages))

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
        total = len(self.resolutions)
        for stage in self.stages:
            total *= len(stage.widths) * sum(len(stage.blocks) ** depth for depth in stage.depths)
        return total

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw every gene uniformly."""
        return self.decode(rng.integers(0, self.cardinalities))

    def smallest(self) -> Architecture:
        """Give the architecture of fewest MACs."""
        return self._smallest

    def largest(self) -> Architecture:
        """Give the architecture of most MACs."""
        return self._largest

    @cached_property
    def _smallest(self) -> Architecture:
        return self._extreme(min, +1)

    @cached_property
    def _largest(self) -> Architecture:
        return self._extreme(max, -1)

    def _extreme(self, extreme: Any, sign: int) -> Architecture:
        def chosen(stage: StageSpace, width: int, grid: int) -> Block:
            costs = [operator_cost(place(block, width, grid)) for block in stage.blocks]
            keys = [(sign * cost.macs, sign * cost.num_params) for cost in costs]
            return stage.blocks[keys.index(min(keys))]

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
                Stage(width, blocks, stage.stride)
                for width in stage.widths
                for depth in stage.depths
                for blocks in product(stage.blocks, repeat=depth)
            ]
            for stage in self.stages
        ]
        for resolution in self.resolutions:
            for stages in product(*options):
                yield Architecture(resolution, stages, self.stem)

    def operators(self) -> tuple[Operator, ...]:
        """List every distinct operator that occurs in some architecture: the rows of a latency table."""
        found: dict[Operator, None] = {}
        for resolution in self.resolutions:
            grids = self.grids(resolution)
            for index, (stage, grid) in enumerate(zip(self.stages, grids, strict=True)):
                for width in stage.widths:
                    if index == 0:
                        found[place_stem(self.stem, width, resolution)] = None
                    else:
                        for before in self.stages[index - 1].widths:
                            found[place_step(stage.stride, before, width, grids[index - 1])] = None
                found.update({place(block, width, grid): None for width in stage.widths for block in stage.blocks})
            found.update(
                {Operator("head", width, self.num_classes, grids[-1]): None for width in self.stages[-1].widths}
            )
        return tuple(found)

    def operators_of(self, architecture: Architecture) -> tuple[Operator, ...]:
        """List the operators of one architecture in the order they run."""
        return operators(architecture, self.num_classes)
