"""An architecture as a vector of categorical integers, with the mask of the genes that have an effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import NasError
from nas.space.architecture import Architecture, Block, Stage
from nas.space.kinds import KINDS, active_settings
from nas.space.stage_space import StageSpace


@dataclass(frozen=True, slots=True)
class Gene:
    """One choice. It has an effect only while every gene in `requires` is active and has one of the listed indices."""

    name: str
    choices: tuple[Any, ...]
    requires: tuple[tuple[int, frozenset[int]], ...] = ()


@dataclass(frozen=True, slots=True)
class GenomeLayout:
    """The genes of a space in a fixed order, parents before children, with each gene's place by name."""

    genes: tuple[Gene, ...]

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of choices of each gene."""
        return tuple(len(gene.choices) for gene in self.genes)

    def place(self) -> dict[str, int]:
        """Map a gene's name to its index."""
        return {gene.name: index for index, gene in enumerate(self.genes)}


def gene_layout(
    resolutions: tuple[int, ...], stages: tuple[StageSpace, ...], head_bits: tuple[str | int, ...] = ("fp",)
) -> GenomeLayout:
    """List the genes of a space: resolution; per stage width and depth; per block its kind, settings and bits.

    Kinds that differ in their choices of bits have a gene each. Entries and head have one where there is a choice.
    """
    genes = [Gene("resolution", resolutions)]
    for s, stage in enumerate(stages):
        genes.append(Gene(f"{s}.width", stage.widths))
        genes.append(Gene(f"{s}.depth", stage.depths))
        depth_gene = len(genes) - 1
        for b in range(max(stage.depths)):
            deep_enough = frozenset(i for i, depth in enumerate(stage.depths) if depth > b)
            exists = ((depth_gene, deep_enough),)
            genes.append(Gene(f"{s}.{b}.kind", tuple(stage.kinds), exists))
            kind_gene = len(genes) - 1
            if not stage.kind_bits:
                genes.append(Gene(bits_gene(stage, s, b), stage.bits, exists))
            for k, (kind, settings) in enumerate(stage.kinds.items()):
                parent = (kind_gene, frozenset([k]))
                if stage.kind_bits:
                    genes.append(Gene(bits_gene(stage, s, b, kind), stage.bits_of(kind), (parent,)))
                genes.extend(setting_genes(f"{s}.{b}.{kind}", kind, settings, parent, len(genes)))
        if stage.entry_bits != ("fp",):
            genes.append(Gene(f"{s}.entry_bits", stage.entry_bits))
    if head_bits != ("fp",):
        genes.append(Gene("head_bits", head_bits))
    return GenomeLayout(tuple(genes))


def bits_gene(stage: StageSpace, s: int, b: int, kind: str = "") -> str:
    """Name the gene that holds the bits of a block of some kind."""
    return f"{s}.{b}.{kind}.bits" if stage.kind_bits else f"{s}.{b}.bits"


def setting_genes(
    prefix: str, kind: str, settings: dict[str, tuple[Any, ...]], parent: tuple[int, frozenset[int]], start: int
) -> list[Gene]:
    """List the genes of one block kind's settings; a setting that has an effect only beside another requires it."""
    names = sorted(settings)  # a setting comes before those that depend on it, see `Kind`
    genes = []
    for name in names:
        requires = [parent]
        condition = KINDS[kind].active_when.get(name)
        if condition is not None:
            choices = settings[condition.setting]
            good = frozenset(index for index, value in enumerate(choices) if condition.holds(value))
            requires.append((start + names.index(condition.setting), good))
        genes.append(Gene(f"{prefix}.{name}", settings[name], tuple(requires)))
    return genes


def active_genes(layout: GenomeLayout, genomes: np.ndarray) -> np.ndarray:
    """Return which genes have an effect: int [n, genes] -> bool [n, genes]."""
    genomes = np.atleast_2d(np.asarray(genomes))
    active = np.ones(genomes.shape, dtype=bool)
    for index, gene in enumerate(layout.genes):
        for parent, indices in gene.requires:
            bits = sum(1 << choice for choice in indices)  # a tenth of the time of np.isin, and searches ask often
            active[:, index] &= active[:, parent] & ((bits >> genomes[:, parent]) & 1 == 1)
    return active


def decode_genome(layout: GenomeLayout, stages: tuple[StageSpace, ...], stem: str, genome: np.ndarray) -> Architecture:
    """Build the architecture of one genome [genes]; inactive genes are not read. `NasError` where it does not fit."""
    values = np.asarray(genome)
    cardinalities = np.asarray(layout.cardinalities)
    if values.shape != cardinalities.shape or not np.issubdtype(values.dtype, np.integer):
        raise NasError(f"not a genome of {len(cardinalities)} integers: shape {values.shape}, type {values.dtype}")
    if ((values < 0) | (values >= cardinalities)).any():
        wrong = layout.genes[int(np.flatnonzero((values < 0) | (values >= cardinalities))[0])]
        raise NasError(f"gene '{wrong.name}' is out of range", f"It has {len(wrong.choices)} choices")
    chosen = {gene.name: gene.choices[value] for gene, value in zip(layout.genes, values.tolist(), strict=True)}
    built = []
    for s, stage in enumerate(stages):
        blocks = []
        for b in range(chosen[f"{s}.depth"]):
            kind = chosen[f"{s}.{b}.kind"]
            settings = {name: chosen[f"{s}.{b}.{kind}.{name}"] for name in stage.kinds[kind]}
            bits = chosen[bits_gene(stage, s, b, kind)]
            blocks.append(Block.of(kind, bits, **active_settings(kind, settings)))
        entry_bits = chosen.get(f"{s}.entry_bits", "fp")
        built.append(Stage(chosen[f"{s}.width"], tuple(blocks), stage.stride, entry_bits))
    return Architecture(chosen["resolution"], tuple(built), stem, chosen.get("head_bits", "fp"))


def encode_architecture(layout: GenomeLayout, architecture: Architecture) -> np.ndarray:
    """Turn an architecture into its canonical genome, int64 [genes]: 0 where a gene has no effect.

    `NasError` names the first choice that the space does not have.
    """
    place = layout.place()
    genome = np.zeros(len(layout.genes), dtype=np.int64)

    def choose(name: str, value: Any) -> None:
        if name not in place or value not in layout.genes[place[name]].choices:
            raise NasError(f"the architecture is not in this space: it has no choice {name} = {value}")
        genome[place[name]] = layout.genes[place[name]].choices.index(value)

    choose("resolution", architecture.resolution)
    num_stages = sum(name.count(".") == 1 and name.endswith(".depth") for name in place)
    if len(architecture.stages) != num_stages:
        raise NasError(f"the architecture has {len(architecture.stages)} stages, the space {num_stages}")
    if architecture.head_bits != "fp" or "head_bits" in place:
        choose("head_bits", architecture.head_bits)
    for s, stage in enumerate(architecture.stages):
        choose(f"{s}.width", stage.width)
        if stage.entry_bits != "fp" or f"{s}.entry_bits" in place:
            choose(f"{s}.entry_bits", stage.entry_bits)
        choose(f"{s}.depth", len(stage.blocks))
        for b, block in enumerate(stage.blocks):
            choose(f"{s}.{b}.kind", block.kind)
            shared = f"{s}.{b}.bits"
            choose(shared if shared in place else f"{s}.{b}.{block.kind}.bits", block.bits)
            for name, value in block.settings:
                choose(f"{s}.{b}.{block.kind}.{name}", value)
    return genome
