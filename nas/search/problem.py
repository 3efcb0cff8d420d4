"""What a search is asked: a design space, objectives and constraints; and what it answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nas.errors import NasError, did_you_mean

Genome = tuple[int, ...]
Evaluate = Callable[[list[Any]], Sequence[float]]

DIRECTIONS = {"max": "max", "min": "min", "maximize": "max", "minimize": "min"}


class DesignSpace(Protocol):
    """Whatever has categorical genes, knows which of them are active, and decodes them into candidates.

    Whether a gene is active may depend on active genes only, and never in a circle.
    """

    @property
    def cardinalities(self) -> Sequence[int]:
        """Number of choices of each gene."""

    def active(self, genomes: np.ndarray, /) -> np.ndarray:
        """Int [n, genes] -> bool [n, genes]: the genes that change the candidate."""

    def decode(self, genome: Any, /) -> Any:
        """Turn one int vector [genes] into the candidate it stands for."""


class SearchAlgorithm(Protocol):
    """Proposes genomes and learns from their costs; built from `(problem, rng)`."""

    def ask(self, n: int) -> np.ndarray:
        """Propose n canonical genomes never proposed or told before, int [n, genes]; fewer when none are left."""

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Learn costs [k, objectives], all minimised, where violations [k] are 0; elsewhere costs mean nothing."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure to make large or small; an expensive one is only ever evaluated on feasible candidates.

    `direction` is `max` or `min` (also written `maximize`, `minimize`); `evaluate` maps a list of candidates to one
    float each. A value that is not finite marks the candidate as failed.
    """

    name: str
    direction: str
    evaluate: Evaluate
    expensive: bool = False

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            hint = did_you_mean(self.direction, DIRECTIONS)
            raise NasError(f"objective '{self.name}' has the unknown direction '{self.direction}'", hint)
        object.__setattr__(self, "direction", DIRECTIONS[self.direction])

    @property
    def sign(self) -> float:
        """+1 where small is good, -1 where large is: cost = sign * value."""
        return 1.0 if self.direction == "min" else -1.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit that holds when `evaluate` gives at most `at_most`; cheap by definition."""

    name: str
    at_most: float
    evaluate: Evaluate

    def __post_init__(self) -> None:
        if not math.isfinite(self.at_most):
            raise NasError(f"the limit of '{self.name}' is {self.at_most}", "Give a finite number, or no limit at all")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A feasible candidate with the values of all objectives and constraints, in their own units.

    `seconds` is what its expensive objectives took in this process (0 when replayed), so it is not compared.
    """

    genome: Genome
    candidate: Any
    metrics: Mapping[str, float]
    seconds: float = field(compare=False)

    @property
    def failed(self) -> bool:
        """True where a value is not finite; such a candidate is never in a front."""
        return not all(math.isfinite(value) for value in self.metrics.values())


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All that a search found.

    `evaluations` in the order they were made; `front` = the non-dominated ones, best first objective first;
    `hypervolume_history` = (number of evaluations, hypervolume) after each batch, against `reference_point`, which is
    fixed during the search and in the objectives' own units; `num_asked` counts distinct genomes, `num_infeasible`
    those turned down before any expensive evaluation; `stopped_by` is `budget`, `exhausted` or `barren`.
    """

    evaluations: tuple[Evaluation, ...]
    front: tuple[Evaluation, ...]
    hypervolume_history: tuple[tuple[int, float], ...]
    reference_point: Mapping[str, float]
    directions: Mapping[str, str]
    num_asked: int
    num_infeasible: int
    stopped_by: str

    @property
    def num_failed(self) -> int:
        """How many evaluations gave a value that is not finite."""
        return sum(evaluation.failed for evaluation in self.evaluations)


@dataclass(frozen=True, slots=True)
class Problem:
    """A design space with its objectives and constraints, checked to name every figure unambiguously."""

    space: DesignSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if not self.objectives:
            raise NasError("a search needs at least one objective", "Pass objectives=[nas.Objective(...), ...]")
        by_name = {objective.name: objective for objective in self.objectives}
        if len(by_name) < len(self.objectives):
            raise NasError("two objectives have the same name", "Give every objective a name of its own")
        functions = {objective.name: objective.evaluate for objective in self.objectives}
        for constraint in self.constraints:
            name = constraint.name
            if name in by_name and by_name[name].expensive:
                hint = "A constraint is checked before anything expensive: filter the result instead"
                raise NasError(f"'{name}' is an expensive objective and cannot be a constraint", hint)
            if functions.setdefault(name, constraint.evaluate) != constraint.evaluate:
                raise NasError(f"two different functions are both called '{name}'", "Share one, or rename one")

    @property
    def expensive(self) -> tuple[Objective, ...]:
        """The objectives that cost an evaluation of the budget."""
        return tuple(objective for objective in self.objectives if objective.expensive)


def as_genomes(space: DesignSpace, rows: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """Turn rows of genes, possibly none, into an int array [n, genes]."""
    return np.asarray(rows, dtype=np.int64).reshape(-1, len(space.cardinalities))


def canonical(space: DesignSpace, genomes: np.ndarray) -> np.ndarray:
    """Set inactive genes to 0, so that equal candidates have equal genomes; int [n, genes] -> int [n, genes]."""
    return np.where(space.active(genomes), genomes, 0)


def as_tuples(genomes: np.ndarray) -> list[Genome]:
    """Turn int [n, genes] into hashable genomes."""
    return [tuple(row) for row in genomes.tolist()]


def values_of(name: str, evaluate: Evaluate, candidates: list[Any]) -> np.ndarray:
    """Evaluate candidates to float [n]; `NasError` unless there is one value for each."""
    values = np.asarray(evaluate(candidates), dtype=float)
    if values.shape != (len(candidates),):
        hint = "Its function takes a list of candidates and returns one float for each"
        raise NasError(f"'{name}' gave values of shape {values.shape} for {len(candidates)} candidates", hint)
    return values


def price(problem: Problem, candidates: list[Any]) -> dict[str, np.ndarray]:
    """Evaluate everything cheap, each name once: name -> float [n]."""
    cheap = {objective.name: objective.evaluate for objective in problem.objectives if not objective.expensive}
    cheap |= {constraint.name: constraint.evaluate for constraint in problem.constraints}
    return {name: values_of(name, evaluate, candidates) for name, evaluate in cheap.items()}


def violations(constraints: Sequence[Constraint], prices: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Sum over the constraints of each candidate's excess over the limit, as a share of the limit; float [n].

    Exactly 0 where all hold, positive elsewhere, infinite where a value is NaN.
    """
    excess = np.zeros(n)
    for constraint in constraints:
        values = prices[constraint.name]
        over = ~(values <= constraint.at_most)
        scale = abs(constraint.at_most) or 1.0
        relative = np.maximum((values[over] - constraint.at_most) / scale, np.finfo(float).tiny)
        excess[over] += np.where(np.isnan(relative), np.inf, relative)
    return excess


def costs_of(objectives: Sequence[Objective], evaluations: Sequence[Evaluation]) -> np.ndarray:
    """Values of the objectives, signed so that small is good; float [n, objectives]."""
    rows = [[objective.sign * each.metrics[objective.name] for objective in objectives] for each in evaluations]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))
