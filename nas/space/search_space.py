"""The set of all networks that may be chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import NasError
from nas.files import JsonObject
from nas.space.architecture import Architecture, Block, Stage
from nas.space.bits import Width, uniform
from nas.space.cost import operator_cost
from nas.space.definition import SpaceDefinition
from nas.space.genome import GenomeLayout, active_genes, decode_genome, encode_architecture, gene_layout
from nas.space.operator import (
    ACTIVATION_BITS,
    Operator,
    operators,
    place,
    place_stem,
    place_step,
    place_transition,
    stage_grids,
)
from nas.space.preset import Preset
from nas.space.space_file import find_space, read_definition
from nas.space.stage_space import StageSpace
from nas.yaml_reader import text_of


@dataclass(frozen=True)
class SearchSpace(SpaceDefinition):
    """Stages with elastic width, depth, resolution and blocks behind a stem; a design space for `nas.search`."""

    layout: GenomeLayout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", gene_layout(self.resolutions, self.stages, self.head_bits))

    @classmethod
    def load(cls, name: str | Path) -> SearchSpace:
        """Load a shipped space by its name, or a YAML file by its path; `NasError` says what is wrong and where."""
        path = find_space(name)
        return parse_space(text_of(path), str(path))

    @classmethod
    def from_dict(cls, data: JsonObject) -> SearchSpace:
        """Read what `to_dict` wrote."""
        return parse_space(json.dumps(data), "a stored space")

    def with_classes(self, num_classes: int) -> SearchSpace:
        """Return the same space for another number of classes."""
        return replace(self, num_classes=num_classes)

    # The genome: a categorical integer vector.

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of choices of each gene."""
        return self.layout.cardinalities

    def active(self, genomes: np.ndarray) -> np.ndarray:
        """Return which genes have an effect: int [n, genes] -> bool [n, genes]."""
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
        """Return the float architecture of fewest MACs."""
        return self._smallest

    def largest(self) -> Architecture:
        """Return the float architecture of most MACs."""
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
        """Return the side of each stage's grid of tokens at an input resolution."""
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
        placed: dict[Operator, None] = {}
        for resolution in self.resolutions:
            grids = self.grids(resolution)
            for index, (stage, grid) in enumerate(zip(self.stages, grids, strict=True)):
                for width, bits in product(stage.widths, stage.entry_bits):
                    if index == 0:
                        placed[place_stem(self.stem, width, resolution, bits)] = None
                    else:
                        for before in self.stages[index - 1].widths:
                            placed[place_step(stage.stride, before, width, grids[index - 1], bits)] = None
                placed.update({place(block, width, grid): None for width in stage.widths for block in stage.blocks})
            for width, bits in product(self.stages[-1].widths, self.head_bits):
                placed[Operator("head", width, self.num_classes, grids[-1], (), bits)] = None
        return (*placed, *transitions(self))

    def operators_of(self, architecture: Architecture) -> tuple[Operator, ...]:
        """List the operators of one architecture in the order they run."""
        return operators(architecture, self.num_classes)


def parse_space(text: str, source: str) -> SearchSpace:
    """Read a space from YAML text; `source` names it in errors."""
    definition = read_definition(text, source)
    space = SearchSpace(**{part.name: getattr(definition, part.name) for part in fields(definition)})
    return with_uniform_presets(space) if definition.presets else space


def with_uniform_presets(space: SearchSpace) -> SearchSpace:
    """Add to each float preset its copies of uniform bits, `NAME-8` and so on, for each width of the space."""
    presets = dict(space.presets)
    for name, preset in space.presets.items():
        for bits in widths_of(space):
            architecture = uniform(space, preset.architecture, bits)
            is_float = preset.architecture == uniform(space, preset.architecture, "fp")
            if is_float and f"{name}-{bits}" not in presets:
                presets[f"{name}-{bits}"] = Preset(f"{name}-{bits}", architecture, f"{preset.source}; {bits} bits")
    return replace(space, presets=presets)


def widths_of(space: SpaceDefinition) -> tuple[int, ...]:
    """Return the integer bit-widths of a space, from many bits to few."""
    widths = {bits for stage in space.stages for kind in stage.kinds for bits in stage.bits_of(kind)}
    widths |= {bits for stage in space.stages for bits in stage.entry_bits} | set(space.head_bits)
    return tuple(sorted((bits for bits in widths if isinstance(bits, int)), reverse=True))


def transitions(space: SearchSpace) -> list[Operator]:
    """List the operators that may stand between float and integer values: at the image, and at every width and grid."""
    if not widths_of(space):
        return []
    ends: tuple[Width, ...] = ("fp", ACTIVATION_BITS)
    places = [(3, resolution) for resolution in space.resolutions]
    for index, stage in enumerate(space.stages):
        grids = [space.grids(resolution)[index] for resolution in space.resolutions]
        places += product(stage.widths, grids)
    following = [Operator("", width, width, grid, (), bits) for width, grid in places for bits in ends]
    between = [place_transition(coded, op) for op in following for coded in (False, True)]
    kept = [op for op in between if op is not None and (op.in_channels, op.kind) != (3, "dequantize")]
    return list(dict.fromkeys(kept))
