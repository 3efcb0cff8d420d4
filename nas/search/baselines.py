"""What plain searches would have found with as many evaluations, by a predictor fitted to those that were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas.search.loop import run_search
from nas.search.predictor import Predictor, fit_predictor
from nas.search.problem import DesignSpace, Evaluate, Objective, Problem, SearchResult, as_genomes


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A design space whose candidates are the genomes themselves, so that a predictor can take their place."""

    space: DesignSpace

    @property
    def cardinalities(self) -> Sequence[int]:
        """Return the number of choices of each gene."""
        return self.space.cardinalities

    def active(self, genomes: np.ndarray, /) -> np.ndarray:
        """Return the genes that change the candidate, bool [n, genes]."""
        return self.space.active(genomes)

    def decode(self, genome: Any, /) -> Any:
        """Return the genome as it is."""
        return np.asarray(genome)


def baseline_hypervolumes(
    problem: Problem,
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
    replay = replayed_problem(problem, result)
    volumes = {}
    for algorithm in algorithms:
        baseline = run_search(
            replay,
            algorithm=algorithm,
            budget=len(result.evaluations),
            batch=batch,
            seed=seed,
            initial=initial,
            reference=result.reference_point,
        )
        volumes[algorithm] = tuple(baseline.hypervolume_history)
    return volumes


def replayed_problem(problem: Problem, result: SearchResult) -> Problem:
    """Return the problem on genomes instead of candidates, with a predictor for every expensive objective."""
    space = problem.space
    sound = [evaluation for evaluation in result.evaluations if not evaluation.failed]
    genomes = as_genomes(space, [evaluation.genome for evaluation in sound])
    objectives = []
    for objective in problem.objectives:
        name = objective.name
        if objective.expensive:
            predictor = fit_predictor(space, genomes, [evaluation.metrics[name] for evaluation in sound])
            objectives.append(Objective(name, objective.direction, expectation(predictor), expensive=True))
        else:
            objectives.append(replace(objective, evaluate=decoding(space, objective.evaluate)))
    # A constraint on an objective's figure takes that objective's very function, as a problem demands.
    functions = {objective.name: objective.evaluate for objective in objectives}
    constraints = [
        replace(limit, evaluate=functions.get(limit.name) or decoding(space, limit.evaluate))
        for limit in problem.constraints
    ]
    return Problem(Undecoded(space), tuple(objectives), tuple(constraints))


def expectation(predictor: Predictor) -> Evaluate:
    """Return a function that evaluates genomes by what the predictor expects."""
    return lambda genomes: predictor.predict(as_genomes(predictor.space, genomes))[0].tolist()


def decoding(space: DesignSpace, evaluate: Evaluate) -> Evaluate:
    """Return a function that decodes genomes and evaluates the candidates."""
    return lambda genomes: evaluate([space.decode(genome) for genome in genomes])
