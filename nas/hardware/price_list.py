"""Prices of many genomes at once: each place of a network looks its milliseconds up by its genes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.space.architecture import Block
from nas.space.kinds import is_active
from nas.space.operator import Operator, place, place_stem, place_step
from nas.space.search_space import SearchSpace, StageSpace

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
CHUNK = 4096  # genomes priced together: what is read of them stays in the cache


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """Where the genes of one block lie: its code is `start[kind]` + the sum over j of gene `column[kind, j]` x `radix`.

    The code numbers the blocks of a stage as `coded_blocks` does. Kinds with fewer choices than others are filled up
    with a radix of 0.
    """

    kind: int
    start: Integers  # [kinds]
    column: Integers  # [choices, kinds]
    radix: Integers  # [choices, kinds]


@dataclass(frozen=True, slots=True, eq=False)
class StagePrices:
    """Milliseconds of a stage, NaN where a table lacks them, and where the genes lie that choose among them."""

    entry: Array  # [resolutions, widths of the stage before (1 for the first), widths]: the stem, or the step
    blocks: Array  # [resolutions, widths, codes]
    width: int
    depth: int
    depths: Integers  # the choices of the depth
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PriceList:
    """The rows of a table for one space, in arrays over the choices of its genes."""

    cardinalities: Integers
    stages: tuple[StagePrices, ...]
    head: Array  # [resolutions, widths of the last stage]

    def sums(self, genomes: NDArray[np.integer[Any]]) -> tuple[Array, Integers]:
        """Give the summed milliseconds [n] of genomes [n, genes], NaN where a row is missing, and how many rows [n].

        The rows are added from the first operator to the last, as `LatencyTable.predict` adds them. `NasError` where a
        gene is out of range.
        """
        wanted = np.asarray(genomes)
        genes = len(self.cardinalities)
        if wanted.ndim != 2 or wanted.shape[1] != genes or not np.issubdtype(wanted.dtype, np.integer):
            raise NasError(f"not genomes of {genes} integers each: shape {wanted.shape}, type {wanted.dtype}")
        sums, counts = np.empty(len(wanted)), np.empty(len(wanted), dtype=np.int64)
        for start in range(0, len(wanted), CHUNK):
            part = slice(start, start + CHUNK)
            sums[part], counts[part] = self._sums(np.ascontiguousarray(wanted[part], dtype=np.int64))
        return sums, counts

    def _sums(self, genomes: Integers) -> tuple[Array, Integers]:
        """Sum as many genomes as stay in the cache."""
        outside = genomes.view(np.uint64) >= self.cardinalities.view(np.uint64)  # negative is huge
        if outside.any():
            row, gene = np.argwhere(outside)[0]
            raise NasError(f"gene {gene} of genome {row} is out of range: {genomes[row, gene]}")
        flat, first = genomes.ravel(), np.arange(len(genomes)) * genomes.shape[1]
        resolution = genomes[:, 0]
        before = np.zeros_like(resolution)
        total, count = np.zeros(len(genomes)), np.ones_like(resolution)  # one: the head
        for stage in self.stages:
            width, depth = genomes[:, stage.width], stage.depths[genomes[:, stage.depth]]
            total += stage.entry[resolution, before, width]
            count += 1 + depth
            shape = stage.blocks.shape
            prices, offset = stage.blocks.ravel(), (resolution * shape[1] + width) * shape[2]
            for index, slot in enumerate(stage.slots):
                kind = flat[first + slot.kind]
                code = offset + slot.start[kind]
                for column, radix in zip(slot.column, slot.radix, strict=True):
                    code += flat[first + column[kind]] * radix[kind]
                total += np.where(depth > index, prices[code], 0.0)
            before = width
        return total + self.head[resolution, before], count


def price_list(space: SearchSpace, ms_of: Callable[[Operator], float]) -> PriceList:
    """Lay out what `ms_of` says of every operator of `space`; NaN stands for an operator without a price."""
    places = space.layout.place()
    grids = [space.grids(resolution) for resolution in space.resolutions]
    stages, before = [], space.stages[0].widths
    for s, stage in enumerate(space.stages):
        if s == 0:
            entry = [[[ms_of(place_stem(space.stem, w, pixels)) for w in stage.widths]] for pixels in space.resolutions]
        else:
            entry = [
                [[ms_of(place_step(stage.stride, b, w, sides[s - 1])) for w in stage.widths] for b in before]
                for sides in grids
            ]
        before, blocks = stage.widths, list(coded_blocks(stage))
        stages.append(
            StagePrices(
                entry=np.array(entry, dtype=float),
                blocks=np.array([[[ms_of(place(b, w, g[s])) for b in blocks] for w in before] for g in grids]),
                width=places[f"{s}.width"],
                depth=places[f"{s}.depth"],
                depths=np.array(stage.depths, dtype=np.int64),
                slots=tuple(slot_of(stage, f"{s}.{b}", places) for b in range(max(stage.depths))),
            )
        )
    head = [[ms_of(Operator("head", w, space.num_classes, g[-1])) for w in space.stages[-1].widths] for g in grids]
    return PriceList(np.array(space.cardinalities, dtype=np.int64), tuple(stages), np.array(head, dtype=float))


def coded_blocks(stage: StageSpace) -> Iterator[Block]:
    """Yield a block for each combination of kind, bits and settings, the last varying fastest.

    A setting without effect takes part, so that the code of a genome needs no exceptions; its block leaves it out.
    """
    for kind, settings in stage.kinds.items():
        names = sorted(settings)
        for bits, *values in product(stage.bits, *(settings[name] for name in names)):
            named = dict(zip(names, values, strict=True))
            yield Block.of(kind, bits, **{name: value for name, value in named.items() if is_active(name, named)})


def slot_of(stage: StageSpace, prefix: str, places: dict[str, int]) -> Slot:
    """Say where the genes of a block lie and what each adds to its code; a gene with one choice adds nothing."""
    terms, sizes = [], []
    for kind, settings in stage.kinds.items():
        genes = [(places[f"{prefix}.bits"], len(stage.bits))]
        genes += [(places[f"{prefix}.{kind}.{name}"], len(settings[name])) for name in sorted(settings)]
        counts = [count for _, count in genes]
        radices = [int(np.prod(counts[index + 1 :])) for index in range(len(counts))]
        terms.append([(column, radix) for (column, count), radix in zip(genes, radices, strict=True) if count > 1])
        sizes.append(int(np.prod(counts)))
    longest = max(len(each) for each in terms)
    kind_gene = places[f"{prefix}.kind"]
    filled = np.array([each + [(kind_gene, 0)] * (longest - len(each)) for each in terms], dtype=np.int64)
    filled = filled.reshape(len(terms), longest, 2)
    start = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    column, radix = (np.ascontiguousarray(filled[:, :, index].T) for index in (0, 1))
    return Slot(kind_gene, start, column, radix)
