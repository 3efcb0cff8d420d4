"""Random search: the baseline every other algorithm has to beat."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from nas.search.problem import DesignSpace, Genome, Problem, as_genomes, as_tuples, canonical
from nas.search.variation import single_changes

DRAWS = 20  # rounds of random draws before what is left is listed
POOL = 4096  # how many listed genomes suffice to choose from
BLOCK = 128  # genomes whose neighbours are listed at a time


class RandomSearch:
    """Proposes unseen genomes, each gene drawn uniformly."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.space = problem.space
        self.rng = rng
        self.seen: set[Genome] = set()

    def ask(self, n: int) -> np.ndarray:
        """Draw n genomes never proposed or told before, int [n, genes]; fewer when the space is exhausted."""
        genomes = sample_unseen(self.space, self.rng, self.seen, n)
        self.seen.update(as_tuples(genomes))
        return genomes

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Remember the genomes; their costs teach random search nothing."""
        self.seen.update(as_tuples(genomes))


def sample_unseen(space: DesignSpace, rng: np.random.Generator, seen: Set[Genome], n: int) -> np.ndarray:
    """Draw n distinct canonical genomes outside `seen`, int [n, genes]; fewer only when there are no more.

    Genes are uniform. Where such draws are mostly seen genomes, the rest is listed and drawn from.
    """
    sample: dict[Genome, None] = {}
    for _ in range(DRAWS):
        if len(sample) >= n:
            break
        drawn = rng.integers(space.cardinalities, size=(2 * n, len(space.cardinalities)))
        sample.update((genome, None) for genome in as_tuples(canonical(space, drawn)) if genome not in seen)
    if len(sample) < n:
        left = list_unseen(space, seen | sample.keys(), max(n, POOL))
        sample.update((left[i], None) for i in rng.permutation(len(left)))
    return as_genomes(space, list(sample)[:n])


def list_unseen(space: DesignSpace, seen: Set[Genome], limit: int) -> list[Genome]:
    """List canonical genomes outside `seen`: all of them, or about the first `limit`.

    The walk starts at the genome of zeros and changes one gene at a time. It reaches every canonical genome: setting
    genes to zero, first those on which no other's activity depends, is a way back that is made of single changes.
    """
    start = (0,) * len(space.cardinalities)
    reached, queue = {start}, [start]
    unseen = [] if start in seen else [start]
    while queue and len(unseen) < limit:
        block, queue = queue[:BLOCK], queue[BLOCK:]
        new = set(as_tuples(canonical(space, single_changes(space, as_genomes(space, block))))) - reached
        reached |= new
        queue += sorted(new)
        unseen += sorted(new - seen)
    return unseen
