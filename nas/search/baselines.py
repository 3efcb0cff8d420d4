"""What plain searches would have found with as many evaluations, by a predictor fitted to those that were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.search.loop import search
from nas.search.predictor import Predictor, fit_predictor
from nas.search.problem import Constraint, DesignSpace, Evaluate, Objective, SearchResult, as_genomes


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A design space whose candidates are the genomes themselves, so that a predictor can take their place."""

    space: DesignSpace

    @property
    def cardinalities(self) -> Sequence[int]:
        """Number of choices of each gene."""
        return self.space.cardinalities

    def active(self, genomes: np.ndarray, /) -> np.ndarray:
        """Genes that change the candidate, bool [n, genes]."""
        return self.space.active(genomes)

    def decode(self, genome: Any, /) -> Any:
        """Leave the genome as it is."""
        return np.asarray(genome)


def baseline_hypervolumes(
    space: DesignSpace,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    result: SearchResult,
    *,
    algorithms: Sequence[str] = ("random", "local"),
    initial: Sequence[Sequence[int]] = (),
    batch: int = 20,
    seed: int = 0,
) -> dict[str, tuple[tuple[int, float], ...]]:
    """Replay other algorithms with as many evaluations: algorithm -> (evaluations, hypervolume) after each batch.

    Hypervolumes are at the result's reference point. Cheap figures are exact, expensive ones are those of a predictor
    fitted to all evaluations of the result. It takes about a second and evaluates nothing.
    """
    sound = [each for each in result.evaluations if not each.failed]
    genomes = as_genomes(space, [each.genome for each in sound])
    replayed = []
    for each in objectives:
        if each.expensive:
            predictor = fit_predictor(space, genomes, [evaluation.metrics[each.name] for evaluation in sound])
            replayed.append(Objective(each.name, each.direction, expectation(predictor), expensive=True))
        else:
            replayed.append(replace(each, evaluate=decoding(space, each.evaluate)))
    limits = [replace(each, evaluate=decoding(space, each.evaluate)) for each in constraints]
    volumes = {}
    for algorithm in algorithms:
        control = search(
            Undecoded(space),
            objectives=replayed,
            constraints=shared(limits, replayed),
            algorithm=algorithm,
            budget=len(result.evaluations),
            batch=batch,
            seed=seed,
            initial=initial,
            reference=result.reference_point,
        )
        volumes[algorithm] = tuple(control.hypervolume_history)
    return volumes


def expectation(predictor: Predictor) -> Evaluate:
    """Evaluate genomes by what the predictor expects."""
    return lambda genomes: predictor.predict(as_genomes(predictor.space, genomes))[0].tolist()


def decoding(space: DesignSpace, evaluate: Evaluate) -> Evaluate:
    """Evaluate genomes by decoding them first."""
    return lambda genomes: evaluate([space.decode(genome) for genome in genomes])


def shared(constraints: Sequence[Constraint], objectives: Sequence[Objective]) -> list[Constraint]:
    """Give a constraint on an objective's figure that objective's very function, as a problem demands."""
    functions: dict[str, Callable[..., Any]] = {each.name: each.evaluate for each in objectives}
    return [replace(each, evaluate=functions.get(each.name, each.evaluate)) for each in constraints]
