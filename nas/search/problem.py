"""What a search is asked: a design space, objectives and constraints; and what it answers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nas.errors import NasError, did_you_mean
from nas.search.pareto import dominate

Genome = tuple[int, ...]
Evaluate = Callable[[list[Any]], Sequence[float]]
Counts = tuple[tuple[float, float], ...]  # (right, how many) in each part of a split, as far as they were counted
EvaluateGenomes = Callable[[np.ndarray], Sequence[float] | np.ndarray]

DIRECTIONS = {"max": "max", "min": "min", "maximize": "max", "minimize": "min"}


class DesignSpace(Protocol):
    """Anything that has categorical genes, knows which of them are active, and decodes them into candidates.

    Whether a gene is active may depend on active genes only, and never in a circle.
    """

    @property
    def cardinalities(self) -> Sequence[int]:
        """Return the number of choices of each gene."""

    def active(self, genomes: np.ndarray, /) -> np.ndarray:
        """Return the genes that change the candidate: int [n, genes] -> bool [n, genes]."""

    def decode(self, genome: Any, /) -> Any:
        """Turn one int vector [genes] into the candidate it stands for."""


@runtime_checkable
class PredictingAlgorithm(Protocol):
    """An algorithm that predicts the result of an evaluation."""

    def predict(self, genomes: np.ndarray) -> np.ndarray | None:
        """Predict costs [k, objectives] of genomes [k, genes], without a change of state; None while it cannot."""


class SearchAlgorithm(Protocol):
    """Proposes genomes and learns from their costs; built from `(problem, rng)`."""

    def ask(self, n: int) -> np.ndarray:
        """Propose n canonical genomes never proposed or told before, int [n, genes]; fewer when none are left."""

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Learn costs [k, objectives], all minimised, where violations [k] are 0; elsewhere costs mean nothing."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Growing shares of one split on which a share, such as an accuracy, is counted.

    `shares` rise to 1, the whole split. `count(candidate, stage)` gives how many are right and how many there are in
    the part that this stage adds; stages are asked in order. For a bound to hold, parts must be random: shuffle once.
    """

    shares: tuple[float, ...]
    count: Callable[[Any, int], tuple[float, float]]

    def __post_init__(self) -> None:
        rising = all(0 < low < high for low, high in itertools.pairwise(self.shares))
        if not (rising and self.shares and self.shares[0] > 0 and self.shares[-1] == 1):
            raise NasError(f"the stages {self.shares} do not rise to 1", "For example (0.1, 0.25, 0.5, 1.0)")


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure to make large or small; an expensive one is only ever evaluated on feasible candidates.

    `direction` is `max` or `min` (also written `maximize`, `minimize`); `evaluate` maps a list of candidates to one
    float each. A value that is not finite marks the candidate as failed.

    `evaluate_genomes`, which a cheap figure may have too, maps canonical genomes, int [n, genes], to the same values at
    once: algorithms price tens of thousands of candidates, and decoding would take most of their time.

    `stages`, which one expensive objective may have, lets the search stop an evaluation that is sure to be dominated.
    """

    name: str
    direction: str
    evaluate: Evaluate
    expensive: bool = False
    evaluate_genomes: EvaluateGenomes | None = None
    stages: Stages | None = None

    def __post_init__(self) -> None:
        if self.stages is not None and not self.expensive:
            raise NasError(f"'{self.name}' has stages but is not expensive", "Pass expensive=True, or no stages")
        if self.direction not in DIRECTIONS:
            hint = did_you_mean(self.direction, DIRECTIONS)
            raise NasError(f"objective '{self.name}' has the unknown direction '{self.direction}'", hint)
        object.__setattr__(self, "direction", DIRECTIONS[self.direction])

    @property
    def sign(self) -> float:
        """Return +1 where small is good, -1 where large is: cost = sign * value."""
        return 1.0 if self.direction == "min" else -1.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit that holds when `evaluate` gives at most `at_most`; cheap by definition.

    `evaluate_genomes` is as in `Objective`.
    """

    name: str
    at_most: float
    evaluate: Evaluate
    evaluate_genomes: EvaluateGenomes | None = None

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
        """Whether a value is not finite; such a candidate is never in a front."""
        return not all(math.isfinite(value) for value in self.metrics.values())


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All that a search found.

    `evaluations` are in the order they were made; `front` holds the non-dominated ones, best first objective first.
    `hypervolume_history` is (number of evaluations, hypervolume) after each batch, against `reference_point`, which is
    fixed during the search and in the objectives' own units. `num_asked` counts distinct genomes, `num_infeasible`
    the genomes rejected before any expensive evaluation. `stopped_by` is `budget`, `exhausted` or `barren`.

    `order_right` is the share of pairs of one batch whose order in an expensive objective was predicted correctly
    before they were evaluated (by chance 0.5); None where the algorithm predicts nothing. `saved_share` is the share of
    a staged objective's work that racing saved.
    """

    evaluations: tuple[Evaluation, ...]
    front: tuple[Evaluation, ...]
    hypervolume_history: tuple[tuple[int, float], ...]
    reference_point: Mapping[str, float]
    directions: Mapping[str, str]
    num_asked: int
    num_infeasible: int
    stopped_by: str
    order_right: float | None = None
    saved_share: float = 0.0

    @property
    def num_failed(self) -> int:
        """Return the number of evaluations with a value that is not finite."""
        return sum(evaluation.failed for evaluation in self.evaluations)

    @property
    def num_wasted(self) -> int:
        """Return the number of evaluations that failed, or were dominated by an earlier one when they were made."""
        objectives = [Objective(name, direction, list) for name, direction in self.directions.items()]
        sound = [evaluation for evaluation in self.evaluations if not evaluation.failed]
        costs = costs_of(objectives, sound)
        beaten = [bool((dominate(costs[:i], costs[i])).any()) for i in range(len(costs))]
        return self.num_failed + sum(beaten)


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

        if sum(objective.stages is not None for objective in self.objectives) > 1:
            raise NasError("two objectives have stages", "Give stages to the one that takes longest")

    @property
    def expensive(self) -> tuple[Objective, ...]:
        """Return the objectives that cost an evaluation of the budget."""
        return tuple(objective for objective in self.objectives if objective.expensive)

    @property
    def staged(self) -> tuple[Objective, ...]:
        """Return the objectives that are raced: one or none."""
        return tuple(objective for objective in self.objectives if objective.stages is not None)


def as_genomes(space: DesignSpace, rows: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """Turn rows of genes, possibly none, into an int array [n, genes]."""
    return np.asarray(rows, dtype=np.int64).reshape(-1, len(space.cardinalities))


def canonical(space: DesignSpace, genomes: np.ndarray) -> np.ndarray:
    """Set inactive genes to 0, so that equal candidates have equal genomes; int [n, genes] -> int [n, genes]."""
    return np.where(space.active(genomes), genomes, 0)


def as_tuples(genomes: np.ndarray) -> list[Genome]:
    """Turn int [n, genes] into hashable genomes."""
    return [tuple(row) for row in genomes.tolist()]


def values_of(name: str, evaluate: Callable[[Any], Any], candidates: Any) -> np.ndarray:
    """Evaluate candidates to float [n]; `NasError` unless there is one value for each."""
    values = np.asarray(evaluate(candidates), dtype=float)
    if values.shape != (len(candidates),):
        hint = "Its function takes a list of candidates and returns one float for each"
        raise NasError(f"'{name}' gave values of shape {values.shape} for {len(candidates)} candidates", hint)
    return values


def price(problem: Problem, candidates: list[Any]) -> dict[str, np.ndarray]:
    """Evaluate everything cheap, each name once: name -> float [n]."""
    return {name: values_of(name, figure.evaluate, candidates) for name, figure in cheap_figures(problem).items()}


def cheap_figures(problem: Problem) -> dict[str, Objective | Constraint]:
    """Return cheap objectives and constraints by name; of two of one name, one that can price genomes at once."""
    figures: dict[str, Objective | Constraint] = {}
    cheap: list[Objective | Constraint] = [objective for objective in problem.objectives if not objective.expensive]
    for figure in [*cheap, *problem.constraints]:
        if figure.name not in figures or figures[figure.name].evaluate_genomes is None:
            figures[figure.name] = figure
    return figures


def violations(constraints: Sequence[Constraint], prices: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Return the sum over constraints of each candidate's excess over the limit, as a share of the limit; float [n].

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
    """Return the values of the objectives, signed so that small is good; float [n, objectives]."""
    rows = [[objective.sign * row.metrics[objective.name] for objective in objectives] for row in evaluations]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))


def share_name(objective: Objective) -> str:
    """Return the name in an evaluation's metrics of the share of the split that a staged objective saw."""
    return f"{objective.name}_share"
