"""Small design spaces for the tests of search. A candidate is the tuple of its genes, if nothing else is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.search.problem import Objective


def genes_of(genome):
    return tuple(int(gene) for gene in genome)


@dataclass(frozen=True)
class Flat:
    """Genes that are always active."""

    cardinalities: tuple[int, ...]

    def active(self, genomes):
        return np.ones(genomes.shape, dtype=bool)

    def decode(self, genome):
        return genes_of(genome)


@dataclass(frozen=True)
class Named(Flat):
    """A candidate is a dictionary, so that nothing but decode can make one."""

    def decode(self, genome):
        return {"genes": genes_of(genome)}


@dataclass(frozen=True)
class Hundred(Flat):
    """100 candidates, the numbers 0 to 99."""

    cardinalities: tuple[int, ...] = (10, 10)

    def decode(self, genome):
        return 10 * int(genome[0]) + int(genome[1])


@dataclass(frozen=True)
class Chain(Flat):
    """Gene 0 says how many of the other genes are active."""

    def active(self, genomes):
        return np.arange(len(self.cardinalities)) <= genomes[:, :1]


class Pair:
    """Gene 1 is active where gene 0 is not 0."""

    cardinalities = (3, 4)

    def active(self, genomes):
        return np.stack([np.ones(len(genomes), dtype=bool), genomes[:, 0] > 0], axis=1)

    def decode(self, genome):
        return genes_of(genome)


class Tree:
    """Gene 0 says how many of genes 1 and 2 are active; gene 3 is active where gene 2 is 1; gene 4 has no choice."""

    cardinalities = (3, 2, 4, 3, 1)

    def active(self, genomes):
        everywhere = np.ones(len(genomes), dtype=bool)
        second = genomes[:, 0] == 2
        return np.stack([everywhere, genomes[:, 0] >= 1, second, second & (genomes[:, 2] == 1), everywhere], axis=1)

    def decode(self, genome):
        return genes_of(genome)


class Nested:
    """Gene 3 gives the number of blocks, 0 to 2, each with a kind; kind 2 of the second has a setting."""

    cardinalities = (3, 3, 4, 3)

    def active(self, genomes):
        first = genomes[:, 3] >= 1
        second = genomes[:, 3] == 2
        return np.stack([first, second, second & (genomes[:, 1] == 2), np.ones(len(genomes), dtype=bool)], axis=1)

    def decode(self, genome):
        return genes_of(genome)


class Halves:
    """12 genes; the last 6 are active where gene 0 is not 0; gene 11 has no choice."""

    cardinalities = (2, 3, 4, 3, 2, 5, 3, 3, 3, 4, 2, 1)

    def active(self, genomes):
        active = np.ones(genomes.shape, dtype=bool)
        active[:, 6:] = genomes[:, :1] > 0
        return active

    def decode(self, genome):
        return genes_of(genome)


class Blocks:
    """52 candidates: a width, 1 to 3 blocks of which the first has a kind and the others a kernel."""

    cardinalities = (2, 3, 2, 3, 3)  # width, depth - 1, kind, kernel of block 2, kernel of block 3

    def active(self, genomes):
        everywhere = np.ones(len(genomes), dtype=bool)
        depth = genomes[:, 1]
        return np.stack([everywhere, everywhere, everywhere, depth >= 1, depth == 2], axis=1)

    def decode(self, genome):
        width, depth, *choices = genes_of(genome)
        return (width, *choices[: depth + 1])


class Epistasis:
    """Genes of 3 choices, all active; accuracy has a term for every pair of neighbours, latency is a sum.

    A candidate is its genome.
    """

    def __init__(self, num_genes, seed):
        rng = np.random.default_rng(seed)
        self.cardinalities = (3,) * num_genes
        self.gain = rng.normal(size=(num_genes, 3)) + 0.8 * np.arange(3)
        self.pair = rng.normal(size=(num_genes, 3, 3))
        self.price = rng.uniform(0.5, 1.5, size=num_genes)

    def active(self, genomes):
        return np.ones(genomes.shape, dtype=bool)

    def decode(self, genome):
        return genome

    def accuracy(self, candidates):
        genomes, genes = np.array(candidates), np.arange(len(self.gain))
        return (self.gain[genes, genomes] + self.pair[genes, genomes, np.roll(genomes, -1, axis=1)]).sum(axis=1)

    def latency(self, candidates):
        return (np.array(candidates) * self.price).sum(axis=1)

    @property
    def objectives(self):
        return (
            Objective("accuracy", "max", self.accuracy, True),
            Objective("latency_ms", "min", self.latency, evaluate_genomes=self.latency),
        )


class EpistasisChain(Epistasis):
    """Gene 0 says how many of the 7 other genes are active: 3280 members."""

    def __init__(self, seed):
        super().__init__(20, seed)
        self.cardinalities = (8, *(3,) * 7)

    def active(self, genomes):
        return np.arange(8) <= genomes[:, :1]

    def accuracy(self, candidates):
        genomes, genes = np.array(candidates), np.arange(1, 8)
        kinds, following = genomes[:, 1:], np.append(genomes[:, 2:], np.zeros((len(genomes), 1), dtype=int), axis=1)
        terms = 1.0 + self.gain[genes, kinds] + self.pair[genes, kinds, following]
        return np.where(self.active(genomes)[:, 1:], terms, 0.0).sum(axis=1)

    def latency(self, candidates):
        genomes = np.array(candidates)
        return np.where(self.active(genomes), self.price[:8] * (1 + genomes), 0.0)[:, 1:].sum(axis=1)
