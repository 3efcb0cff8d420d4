"""Prices of many genomes at once: each place of a network looks its milliseconds up by its genes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import NasError
from nas.space.architecture import Block
from nas.space.genome import bits_gene
from nas.space.kinds import active_settings
from nas.space.operator import Operator, place, place_stem, place_step, place_transition
from nas.space.search_space import SearchSpace, widths_of
from nas.space.stage_space import StageSpace

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
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
class Transitions:
    """Milliseconds where floats become integer values and back, at each width of a grid; none in a float space."""

    ms: Array  # [resolutions, widths, 2, 2]: what comes is coded, what is asked for is

    def of(self, resolution: Integers, width: Integers, comes: Flags, asked: Flags) -> Array:
        """Return the milliseconds of each genome [n]."""
        return self.ms[resolution, width, comes.view(np.int8), asked.view(np.int8)]


@dataclass(frozen=True, slots=True, eq=False)
class StagePrices:
    """Milliseconds of a stage, NaN where a table lacks them, and where the genes lie that choose among them."""

    entry: Array  # [resolutions, widths of the stage before (1 for the first), widths, bits]: the stem, or the step
    blocks: Array  # [resolutions, widths, codes]
    before: Transitions  # ahead of the entry: at the width of the stage before, of the image for the first
    within: Transitions  # ahead of a block
    entry_is_coded: Flags  # [bits]
    entry_bits: int | None
    is_coded: Flags  # [codes]
    width: int
    depth: int
    depths: Integers  # the choices of the depth
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PriceList:
    """The rows of a table for one space, in arrays over the choices of its genes."""

    cardinalities: Integers
    stages: tuple[StagePrices, ...]
    head: Array  # [resolutions, widths of the last stage, bits]
    before_head: Transitions
    head_is_coded: Flags  # [bits]
    head_bits: int | None
    mixed: bool  # whether anything of the space has integer bits

    def sums(self, genomes: NDArray[np.integer[Any]]) -> tuple[Array, Integers]:
        """Return the summed milliseconds [n] of genomes [n, genes], NaN where a row is missing, and how many rows [n].

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
        coded = np.zeros(len(genomes), dtype=bool)

        def convert(prices: Transitions, width: Integers, asked: Flags, there: Flags | bool = True) -> None:
            nonlocal coded, total, count
            moved = there & (asked != coded)
            total += np.where(moved, prices.of(resolution, width, coded, asked), 0.0)
            count += moved
            coded = np.where(there, asked, coded)

        for stage in self.stages:
            width, depth = genomes[:, stage.width], stage.depths[genomes[:, stage.depth]]
            bits = np.zeros_like(resolution) if stage.entry_bits is None else genomes[:, stage.entry_bits]
            if self.mixed:
                convert(stage.before, before, stage.entry_is_coded[bits])
            total += stage.entry[resolution, before, width, bits]
            count += 1 + depth
            shape = stage.blocks.shape
            prices, offset = stage.blocks.ravel(), (resolution * shape[1] + width) * shape[2]
            for index, slot in enumerate(stage.slots):
                kind = flat[first + slot.kind]
                code = slot.start[kind]
                for column, radix in zip(slot.column, slot.radix, strict=True):
                    code = code + flat[first + column[kind]] * radix[kind]
                if self.mixed:
                    convert(stage.within, width, stage.is_coded[code], depth > index)
                total += np.where(depth > index, prices[offset + code], 0.0)
            before = width
        bits = np.zeros_like(resolution) if self.head_bits is None else genomes[:, self.head_bits]
        if self.mixed:
            convert(self.before_head, before, self.head_is_coded[bits])
        return total + self.head[resolution, before, bits], count


def price_list(space: SearchSpace, ms_of: Callable[[Operator], float]) -> PriceList:
    """Lay out what `ms_of` says of every operator of `space`; NaN stands for an operator without a price."""
    widths, sides = space.stages[-1].widths, [space.grids(resolution)[-1] for resolution in space.resolutions]
    heads = [
        [[ms_of(Operator("head", w, space.num_classes, g, (), bits)) for bits in space.head_bits] for w in widths]
        for g in sides
    ]
    return PriceList(
        cardinalities=np.array(space.cardinalities, dtype=np.int64),
        stages=tuple(stage_prices(space, s, ms_of) for s in range(len(space.stages))),
        head=np.array(heads, dtype=float),
        before_head=transitions(widths, sides, ms_of),
        head_is_coded=np.array([bits != "fp" for bits in space.head_bits]),
        head_bits=space.layout.place().get("head_bits"),
        mixed=bool(widths_of(space)),
    )


def stage_prices(space: SearchSpace, s: int, ms_of: Callable[[Operator], float]) -> StagePrices:
    """Lay out one stage."""
    stage, places, resolutions = space.stages[s], space.layout.place(), space.resolutions
    grids = [space.grids(resolution) for resolution in resolutions]
    widths, sides, blocks = stage.widths, [grid[s] for grid in grids], list(coded_blocks(stage))
    ahead = ((3,), list(resolutions)) if s == 0 else (space.stages[s - 1].widths, [grid[s - 1] for grid in grids])
    return StagePrices(
        entry=entry_prices(space, s, ms_of),
        blocks=np.array([[[ms_of(place(b, w, g)) for b in blocks] for w in widths] for g in sides]),
        before=transitions(*ahead, ms_of),
        within=transitions(widths, sides, ms_of),
        entry_is_coded=np.array([bits != "fp" for bits in stage.entry_bits]),
        entry_bits=places.get(f"{s}.entry_bits"),
        is_coded=np.array([block.bits != "fp" for block in blocks]),
        width=places[f"{s}.width"],
        depth=places[f"{s}.depth"],
        depths=np.array(stage.depths, dtype=np.int64),
        slots=tuple(slot_of(stage, s, b, places) for b in range(max(stage.depths))),
    )


def entry_prices(space: SearchSpace, s: int, ms_of: Callable[[Operator], float]) -> Array:
    """Lay out the stem, or the step into a stage: [resolutions, widths before (1 for the stem), widths, bits]."""
    stage, resolutions = space.stages[s], space.resolutions
    widths, entries = stage.widths, stage.entry_bits
    if s == 0:
        stems = [[[[ms_of(place_stem(space.stem, w, r, e)) for e in entries] for w in widths]] for r in resolutions]
        return np.array(stems, dtype=float)
    before, sides = space.stages[s - 1].widths, [space.grids(resolution)[s - 1] for resolution in resolutions]
    steps = [
        [[[ms_of(place_step(stage.stride, b, w, g, e)) for e in entries] for w in widths] for b in before]
        for g in sides
    ]
    return np.array(steps, dtype=float)


def transitions(widths: Iterable[int], grids: Iterable[int], ms_of: Callable[[Operator], float]) -> Transitions:
    """Lay out what it takes between floats and integer values; 0 where nothing stands between."""

    def cell(width: int, grid: int, comes: bool, asked: bool) -> float:
        op = place_transition(comes, Operator("", width, width, grid, (), 8 if asked else "fp"))
        return 0.0 if op is None else ms_of(op)

    ends = (False, True)
    return Transitions(np.array([[[[cell(w, g, c, a) for a in ends] for c in ends] for w in widths] for g in grids]))


def coded_blocks(stage: StageSpace) -> Iterator[Block]:
    """Yield a block for each combination of kind, bits and settings, the last varying fastest.

    A setting without effect takes part, so that the code of a genome needs no exceptions; its block leaves it out.
    """
    for kind, settings in stage.kinds.items():
        names = sorted(settings)
        for bits, *values in product(stage.bits_of(kind), *(settings[name] for name in names)):
            named = dict(zip(names, values, strict=True))
            yield Block.of(kind, bits, **active_settings(kind, named))


def slot_of(stage: StageSpace, s: int, b: int, places: dict[str, int]) -> Slot:
    """Return where the genes of a block lie and what each adds to its code; a gene with one choice adds nothing."""
    prefix = f"{s}.{b}"
    terms, sizes = [], []
    for kind, settings in stage.kinds.items():
        genes = [(places[bits_gene(stage, s, b, kind)], len(stage.bits_of(kind)))]
        genes += [(places[f"{prefix}.{kind}.{name}"], len(settings[name])) for name in sorted(settings)]
        counts = [count for _, count in genes]
        radices = [int(np.prod(counts[index + 1 :])) for index in range(len(counts))]
        terms.append([(column, radix) for (column, count), radix in zip(genes, radices, strict=True) if count > 1])
        sizes.append(int(np.prod(counts)))
    longest = max(len(term) for term in terms)
    kind_gene = places[f"{prefix}.kind"]
    filled = np.array([term + [(kind_gene, 0)] * (longest - len(term)) for term in terms], dtype=np.int64)
    filled = filled.reshape(len(terms), longest, 2)
    start = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    column, radix = (np.ascontiguousarray(filled[:, :, index].T) for index in (0, 1))
    return Slot(kind_gene, start, column, radix)
