"""The loop around every search algorithm: ask, evaluate once, tell, record, resume."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.errors import NasError, did_you_mean
from nas.search.algorithms import load_algorithm
from nas.search.algorithms.random_search import list_unseen
from nas.search.batch import Batch, Metrics, collect, submit
from nas.search.infeasibility import nothing_found
from nas.search.pareto import hypervolume
from nas.search.problem import (
    Constraint,
    DesignSpace,
    Evaluation,
    Genome,
    Objective,
    PredictingAlgorithm,
    Problem,
    SearchAlgorithm,
    SearchResult,
    as_genomes,
    as_tuples,
    canonical,
    costs_of,
    share_name,
)
from nas.search.racing import Workers, one_by_one
from nas.statistics import non_dominated, pairs_in_order

WELL_KNOWN = 100  # evaluations: before, half a batch is asked for at a time, and each half betters the next
MAX_BARREN = 2000  # candidates asked in a row, none of them feasible and new, before the search gives up


def search(
    space: DesignSpace,
    *,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
    algorithm: str = "surrogate",
    budget: int = 300,
    seed: int = 0,
    batch: int = 10,
    ahead: int = 0,
    known: Mapping[Genome, Metrics] | None = None,
    record: Callable[[Evaluation], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    initial: Sequence[Sequence[int]] = (),
    reference: Metrics | None = None,
    workers: Workers | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> SearchResult:
    """Find the non-dominated candidates that hold all constraints, with at most `budget` evaluations.

    The budget counts distinct feasible candidates. Infeasible ones are rejected by their cheap figures, at no cost.
    `initial` genomes join the first batch. The search ends early when the space is exhausted, or when MAX_BARREN
    candidates in a row were infeasible or not new.

    `record(evaluation)` is called once per new evaluation, in order, as soon as it is known. To resume, pass what was
    recorded as `known` (genome -> metrics) with otherwise the same arguments. The result is the same, and known genomes
    are neither evaluated nor recorded again. `progress(done, budget)` is called after every evaluation.

    `reference`, the reference point of the hypervolume, maps each objective to a value in its own unit. Its default is
    the worst values of the first batch in which an evaluation succeeded, moved away by a tenth of that batch's range.

    `workers` evaluate the candidates of a batch in parallel, such as `nas.search.parallel.ray_workers` on Ray. By
    default this process evaluates them one by one. The result is the same. With `ahead`, so many more batches are begun
    before the oldest must be complete, so that workers need not wait for its last evaluation. The result depends on
    that number, but not on the order in which evaluations end.

    Raises `NasError` when nothing feasible was found, every evaluation failed, or the arguments do not fit together.
    """
    return run_search(
        Problem(space, tuple(objectives), tuple(constraints)),
        algorithm=algorithm,
        budget=budget,
        seed=seed,
        batch=batch,
        ahead=ahead,
        known=known,
        record=record,
        progress=progress,
        initial=initial,
        reference=reference,
        workers=workers,
        clock=clock,
    )


def run_search(
    problem: Problem,
    *,
    algorithm: str = "surrogate",
    budget: int = 300,
    seed: int = 0,
    batch: int = 10,
    ahead: int = 0,
    known: Mapping[Genome, Metrics] | None = None,
    record: Callable[[Evaluation], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    initial: Sequence[Sequence[int]] = (),
    reference: Metrics | None = None,
    workers: Workers | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> SearchResult:
    """Search a problem; the arguments are those of `search`."""
    check_positive(budget=budget, batch=batch)
    if reference is not None:
        check_reference(problem, reference)
    loop = Loop(
        problem=problem,
        proposer=load_algorithm(algorithm)(problem, np.random.default_rng(seed)),
        budget=budget,
        known=known or {},
        workers=workers or one_by_one(problem.expensive, clock),
        record=record,
        progress=progress,
    )
    for genomes in batches(loop, check_initial(problem.space, initial)[:budget], batch):
        loop.begin(genomes)
        if len(loop.under_way) > ahead:
            loop.end_oldest()
    while loop.under_way:
        loop.end_oldest()
    if not succeeded(loop.evaluations):
        raise nothing_found(problem, loop.evaluations, loop.rejected)
    return result_of(loop, reference)


@dataclass(slots=True, kw_only=True)
class Loop:
    """A search that is under way: its evaluations, the genomes it rejected, the batches that workers hold."""

    problem: Problem
    proposer: SearchAlgorithm
    budget: int
    known: Mapping[Genome, Metrics]
    workers: Workers
    record: Callable[[Evaluation], None] | None
    progress: Callable[[int, int], None] | None
    evaluations: list[Evaluation] = field(default_factory=list)
    front: tuple[Evaluation, ...] = ()
    rejected: dict[Genome, Metrics] = field(default_factory=dict)
    order: list[tuple[float, int]] = field(default_factory=list)  # pairs predicted in the right order, and all pairs
    batch_ends: list[int] = field(default_factory=list)  # number of evaluations after each batch
    seen: set[Genome] = field(default_factory=set)
    under_way: deque[Batch] = field(default_factory=deque)

    @property
    def num_planned(self) -> int:
        """Return the number of evaluations that are made or under way."""
        return len(self.evaluations) + sum(batch.size for batch in self.under_way)

    def begin(self, genomes: np.ndarray) -> None:
        """Submit genomes [k, genes] as a batch."""
        proposer = self.proposer
        predicted = proposer.predict(genomes) if isinstance(proposer, PredictingAlgorithm) else None
        rivals = costs_of(self.problem.objectives, self.front)
        self.under_way.append(submit(self.problem, genomes, rivals, self.known, self.workers, predicted))

    def end_oldest(self) -> None:
        """Wait for the oldest batch, and tell the algorithm its costs."""
        batch = self.under_way.popleft()
        before = len(self.evaluations)
        costs, excess, rejected = collect(self.problem, batch, self.known, self.note)
        self.proposer.tell(batch.genomes, costs, excess)
        self.front = front_of(self.problem, [*self.front, *self.evaluations[before:]])
        self.rejected.update(rejected)
        if batch.predicted is not None:
            self.order.extend(compare_order(self.problem, batch.predicted[excess == 0], costs[excess == 0]))
        self.batch_ends.append(len(self.evaluations))

    def note(self, evaluation: Evaluation) -> None:
        """Take in one evaluation, and record it if it is new."""
        self.evaluations.append(evaluation)
        if self.record is not None and evaluation.genome not in self.known:
            self.record(evaluation)
        if self.progress is not None:
            self.progress(len(self.evaluations), self.budget)


def batches(loop: Loop, initial: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    """Yield unseen canonical genomes, int [k, genes], the `initial` ones first, and add them to `loop.seen`.

    Each batch is sorted, so that candidates that begin alike are evaluated one after the other. The caller submits each
    batch before it takes the next: the budget is spent when `loop.num_planned` reaches it.
    """
    space, waiting, barren = loop.problem.space, initial, 0
    while loop.num_planned < loop.budget and barren < MAX_BARREN:
        size = batch if loop.num_planned >= WELL_KNOWN else (batch + 1) // 2
        room = min(size, loop.budget - loop.num_planned) - len(waiting)
        proposed = np.concatenate([waiting, loop.proposer.ask(max(0, room))])
        if len(proposed) == 0:
            return
        waiting = waiting[:0]
        num_before = loop.num_planned
        genomes = drop_seen(space, proposed, loop.seen)
        genomes = genomes[np.lexsort(genomes.T[::-1])]
        if len(genomes) > 0:
            yield genomes
        barren = 0 if loop.num_planned > num_before else barren + len(proposed)


def result_of(loop: Loop, reference: Metrics | None) -> SearchResult:
    """Return what a search found; `reference` is that of its hypervolume, None for the default one."""
    problem, evaluations = loop.problem, loop.evaluations
    if reference is None:
        reference = default_reference(problem, evaluations, loop.batch_ends)
    return SearchResult(
        evaluations=tuple(evaluations),
        front=loop.front,
        hypervolume_history=hypervolumes(problem, evaluations, loop.batch_ends, reference),
        reference_point=reference,
        directions={objective.name: objective.direction for objective in problem.objectives},
        num_asked=len(loop.seen),
        num_infeasible=len(loop.rejected),
        stopped_by=why_stopped(problem.space, loop.seen, len(evaluations) == loop.budget),
        order_right=share_right(loop.order),
        saved_share=saved_share(problem, evaluations),
    )


def why_stopped(space: DesignSpace, seen: set[Genome], budget_spent: bool) -> str:
    """Return the reason that ended a search: `budget`, `exhausted` or `barren`."""
    if budget_spent:
        return "budget"
    return "barren" if list_unseen(space, seen, 1) else "exhausted"


def drop_seen(space: DesignSpace, genomes: np.ndarray, seen: set[Genome]) -> np.ndarray:
    """Return the canonical genomes that are not in `seen`, each once, int [k, genes], and add them to `seen`."""
    fresh = [genome for genome in dict.fromkeys(as_tuples(canonical(space, genomes))) if genome not in seen]
    seen.update(fresh)
    return as_genomes(space, fresh)


def succeeded(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the evaluations that did not fail."""
    return [evaluation for evaluation in evaluations if not evaluation.failed]


def front_of(problem: Problem, evaluations: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    """Return the non-dominated evaluations, ordered by cost from the first objective on, then by genome."""
    sound = succeeded(evaluations)
    costs = costs_of(problem.objectives, sound)
    members = [(tuple(costs[i]), sound[i].genome, i) for i in np.flatnonzero(non_dominated(costs))]
    return tuple(sound[i] for _, _, i in sorted(members))


def default_reference(problem: Problem, evaluations: Sequence[Evaluation], batch_ends: Sequence[int]) -> Metrics:
    """Return the worst values of the first batch with a success, moved away by a tenth of their range."""
    first = next(sound for end in batch_ends if (sound := succeeded(evaluations[:end])))
    costs = costs_of(problem.objectives, first)
    worst = costs.max(axis=0)
    span = worst - costs.min(axis=0)
    corner = worst + 0.1 * np.where(span > 0, span, np.maximum(np.abs(worst), 1.0))
    return {
        objective.name: objective.sign * float(cost) for objective, cost in zip(problem.objectives, corner, strict=True)
    }


def hypervolumes(
    problem: Problem, evaluations: Sequence[Evaluation], batch_ends: Sequence[int], reference: Metrics
) -> tuple[tuple[int, float], ...]:
    """Return the number of evaluations and the hypervolume so far, after each batch that evaluated something."""
    corner = [objective.sign * reference[objective.name] for objective in problem.objectives]
    history: list[tuple[int, float]] = []
    front: tuple[Evaluation, ...] = ()
    before = 0
    for end in dict.fromkeys(batch_ends):
        if end:
            front = front_of(problem, [*front, *evaluations[before:end]])
            history.append((end, hypervolume(costs_of(problem.objectives, front), corner)))
            before = end
    return tuple(history)


def compare_order(problem: Problem, predicted: np.ndarray, measured: np.ndarray) -> list[tuple[float, int]]:
    """Count pairs predicted in the right order, and all, for each expensive objective of costs [k, objectives]."""
    columns = [i for i, objective in enumerate(problem.objectives) if objective.expensive]
    return [pairs_in_order(predicted[:, i], measured[:, i]) for i in columns]


def share_right(order: Sequence[tuple[float, int]]) -> float | None:
    """Return the share of all pairs that were predicted in the right order; None where none was predicted."""
    total = sum(count for _, count in order)
    return sum(in_order for in_order, _ in order) / total if total else None


def saved_share(problem: Problem, evaluations: Sequence[Evaluation]) -> float:
    """Return the share of the staged objective's work that was not done."""
    seen = [evaluation.metrics[share_name(staged)] for staged in problem.staged for evaluation in evaluations]
    return 1.0 - sum(seen) / len(seen) if seen else 0.0


def check_positive(**counts: int) -> None:
    """Raise `NasError` for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise NasError(f"the {name} of a search must be at least 1, not {count}", f"Pass {name}=20, for example")


def check_initial(space: DesignSpace, initial: Sequence[Sequence[int]]) -> np.ndarray:
    """Return initial genomes as int [n, genes]; `NasError` where one is not of this space."""
    for genome in initial:
        if len(genome) != len(space.cardinalities) or any(
            not 0 <= gene < cardinality for gene, cardinality in zip(genome, space.cardinalities, strict=True)
        ):
            raise NasError(f"initial genome {tuple(genome)} is not of this space", "Make it with space.encode")
    return as_genomes(space, list(initial))


def check_reference(problem: Problem, reference: Metrics) -> None:
    """Raise `NasError` for a reference point that does not name exactly the objectives."""
    names = [objective.name for objective in problem.objectives]
    for name in reference:
        if name not in names:
            raise NasError(f"the reference point has the unknown objective '{name}'", did_you_mean(name, names))
    if missing := [name for name in names if name not in reference]:
        raise NasError(f"the reference point lacks {', '.join(missing)}", "Give one value for each objective")
