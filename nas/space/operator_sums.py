"""Sums over the operators of many networks at once: multiply-adds, parameters or latencies of arrays of genomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from nas.space.architecture import Architecture
from nas.space.operator import Operator, place
from nas.space.search_space import SearchSpace


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one operator: the genes it depends on, and how it is found in an architecture (None: not there)."""

    genes: tuple[int, ...]
    find: Callable[[Architecture], Operator | None]


@dataclass(frozen=True)
class OperatorSums:
    """Adds `value_of(operator)` over each network's operators; every distinct operator of a slot is valued once."""

    space: SearchSpace
    value_of: Callable[[Operator], float]
    slots: tuple[Slot, ...] = field(init=False)
    known: dict[tuple[int, int], float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", tuple(slots_of(self.space)))

    def __call__(self, genomes: np.ndarray) -> np.ndarray:
        """Sum over the operators of genomes [n, genes] in the order they run, float [n]."""
        genomes = np.where(self.space.active(genomes), genomes, 0)
        total, cardinalities = np.zeros(len(genomes)), self.space.cardinalities
        for number, slot in enumerate(self.slots):
            sizes = [cardinalities[gene] for gene in slot.genes]
            codes = np.ravel_multi_index(genomes[:, slot.genes].T, sizes)
            distinct, first, where = np.unique(codes, return_index=True, return_inverse=True)
            total += np.array([self.value(number, code, genomes[i]) for code, i in zip(distinct, first, strict=True)])[
                where
            ]
        return total

    def value(self, number: int, code: int, genome: np.ndarray) -> float:
        """Value of the operator in a slot for the choices of that code, which `genome` has."""
        key = (number, int(code))
        if key not in self.known:
            operator = self.slots[number].find(self.space.decode(genome))
            self.known[key] = 0.0 if operator is None else float(self.value_of(operator))
        return self.known[key]


def slots_of(space: SearchSpace) -> Iterator[Slot]:
    """Yield a slot for the stem, every downsampling and block, and the head, in the order they run."""
    place_of = space.layout.place()
    resolution, last = place_of["resolution"], len(space.stages) - 1

    def grid(architecture: Architecture, stage: int) -> int:
        return space.grids(architecture.resolution)[stage]

    def stem(found: Architecture) -> Operator:
        return Operator("stem", 3, found.stages[0].width, found.resolution)

    def head(found: Architecture) -> Operator:
        return Operator("head", found.stages[last].width, space.num_classes, grid(found, last))

    yield Slot((resolution, place_of["0.width"]), stem)
    for s, stage in enumerate(space.stages):

        def downsample(found: Architecture, s: int = s) -> Operator:
            return Operator("downsample", found.stages[s - 1].width, found.stages[s].width, grid(found, s - 1))

        if s > 0:
            yield Slot((resolution, place_of[f"{s - 1}.width"], place_of[f"{s}.width"]), downsample)
        for b in range(max(stage.depths)):

            def block(found: Architecture, s: int = s, b: int = b) -> Operator | None:
                chosen = found.stages[s]
                return place(chosen.blocks[b], chosen.width, grid(found, s)) if b < len(chosen.blocks) else None

            own = [index for name, index in place_of.items() if name.startswith(f"{s}.{b}.")]
            yield Slot((resolution, place_of[f"{s}.width"], place_of[f"{s}.depth"], *own), block)
    yield Slot((resolution, place_of[f"{last}.width"]), head)
