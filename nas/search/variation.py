"""Children of genomes: crossover, mutation and single changes that know which genes are active. Genomes int [n, genes].

An inactive gene of a canonical genome is 0, which says nothing about what the gene should be. So a crossover takes it
from the parent in which it is active, and a mutation draws it again: else it would always become active as 0.
"""

from __future__ import annotations

import numpy as np

from nas.search.problem import DesignSpace


def cross(
    mothers: np.ndarray, fathers: np.ndarray, in_mother: np.ndarray, in_father: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Take each gene from either parent; one active in one parent only, bool [n, genes], comes from that parent."""
    from_mother = np.where(in_mother == in_father, rng.random(mothers.shape) < 0.5, in_mother)
    return np.where(from_mother, mothers, fathers)


def mutate(
    space: DesignSpace, genomes: np.ndarray, rng: np.random.Generator, changes: int | np.ndarray = 1
) -> np.ndarray:
    """Change each active gene that has a choice with probability `changes` / number of these; draw the inactive again.

    `changes`, one number or one per genome [n], is how many genes change on average.
    """
    cardinalities = np.asarray(space.cardinalities)
    active = space.active(genomes)
    drawn = rng.integers(cardinalities, size=genomes.shape)
    other = (genomes + rng.integers(1, np.maximum(cardinalities, 2), size=genomes.shape)) % cardinalities
    num_open = (active & (cardinalities > 1)).sum(axis=1, keepdims=True)
    chosen = rng.random(genomes.shape) < np.reshape(changes, (-1, 1)) / np.maximum(num_open, 1)
    return np.where(active, np.where(chosen, other, genomes), drawn)


def single_changes(space: DesignSpace, genomes: np.ndarray) -> np.ndarray:
    """Return every genome with one gene set to each of its choices, int [n * sum(cardinalities), genes]."""
    genes = np.repeat(np.arange(len(space.cardinalities)), space.cardinalities)
    choices = np.concatenate([np.arange(cardinality) for cardinality in space.cardinalities])
    changed = np.repeat(genomes[:, None, :], len(genes), axis=1)  # n changes genes
    changed[:, np.arange(len(genes)), genes] = choices
    return changed.reshape(-1, genomes.shape[1])
