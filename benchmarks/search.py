"""Front per evaluation: our search algorithms against pymoo's NSGA-II, optuna's NSGA-II and TPE, and random search.

    python benchmarks/search.py --run runs/DEMO --seeds 10 --json search.json

Every algorithm gets the same objectives, the same three first candidates (all genes at their first, middle and last
choice) and 300 evaluations, of which repeated ones count. Ours ask 10 at a time. The reference point is fixed by the
problem, the best known front is the union of long evolutions on the true figures and of everything the compared runs
found. Prints a Markdown table of medians over seeds; ratios are paired by seed. Without --run the problem `supernet` is
left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.hardware.table.price_list import price_list
from nas.search.evolution import evolve
from nas.search.loop import search
from nas.search.pareto import hypervolume
from nas.search.problem import DesignSpace, Objective, Stages, as_genomes
from nas.space.cost import operator_cost
from nas.space.search_space import SearchSpace
from nas.statistics import non_dominated

BUDGET = 300
BATCH = 10
OURS = ("surrogate", "nsga2", "local", "tpe", "sensitivity", "random")
PEERS = ("pymoo-nsga2", "optuna-nsga2", "optuna-tpe")
BASELINE = "pymoo-nsga2"
IMAGES, SHARES = 2000, (0.125, 0.25, 0.5, 1.0)  # of the split that a race is run on


class Flat:
    """A design space whose genes are all active; a candidate is its genome."""

    def __init__(self, cardinalities: Sequence[int]) -> None:
        self.cardinalities = tuple(cardinalities)

    def active(self, genomes: np.ndarray) -> np.ndarray:
        return np.ones(genomes.shape, dtype=bool)

    def decode(self, genome: np.ndarray) -> tuple[int, ...]:
        return tuple(int(gene) for gene in genome)


@dataclass(frozen=True)
class Case:
    """A problem with its costs, all minimised: genomes [n, genes] -> float [n, objectives].

    The last objective may be cheap: genomes [n, genes] -> float [n].
    """

    name: str
    space: DesignSpace
    costs: Callable[[np.ndarray], np.ndarray]
    cheap: Callable[[np.ndarray], np.ndarray] | None
    reference: np.ndarray
    budget: int = BUDGET

    def initial(self) -> list[list[int]]:
        """First, middle and last choice of every gene."""
        most = np.asarray(self.space.cardinalities) - 1
        return [(0 * most).tolist(), (most // 2).tolist(), most.tolist()]


def epistasis(seed: int) -> Case:
    """20 genes of 3 choices; accuracy has a term for every pair of neighbours in a ring, latency is a sum."""
    rng = np.random.default_rng(1000 + seed)
    gain, price = rng.normal(size=(20, 3)) + 0.8 * np.arange(3), rng.uniform(0.5, 1.5, size=20)
    pair, genes = rng.normal(size=(20, 3, 3)), np.arange(20)

    def costs(genomes: np.ndarray) -> np.ndarray:
        accuracy = (gain[genes, genomes] + pair[genes, genomes, np.roll(genomes, -1, axis=1)]).sum(axis=1)
        return np.stack([-accuracy, latency(genomes)], axis=1)

    def latency(genomes: np.ndarray) -> np.ndarray:
        return (genomes * price).sum(axis=1)

    return Case("epistasis", Flat([3] * 20), costs, latency, np.array([25.0, 45.0]))


def benchmark_function(
    name: str, num_genes: int, num_choices: int, reference: Sequence[float]
) -> Callable[[int], Case]:
    """Put a problem of pymoo on a grid; every objective is expensive. The grid is shifted and mirrored by the seed."""

    def build(seed: int) -> Case:
        from pymoo.problems import get_problem

        options = {"n_obj": len(reference)} if name.startswith("dtlz") else {}
        problem = get_problem(name, n_var=num_genes, **options)
        rng = np.random.default_rng(seed)
        mirrored = rng.random(num_genes) < 0.5
        order = rng.permutation(num_genes)

        def costs(genomes: np.ndarray) -> np.ndarray:
            genomes = np.where(mirrored, num_choices - 1 - genomes, genomes)[:, order]
            return problem.evaluate(genomes / (num_choices - 1))

        label = f"{name} {num_genes}x{num_choices}"
        return Case(label, Flat([num_choices] * num_genes), costs, None, np.array(reference))

    return build


def toy(seed: int) -> Case:
    """The 48 architectures of the shipped space `toy`: multiply-adds, and a made-up accuracy that grows with them."""
    return synthetic(SearchSpace.load("toy"), "toy", seed, budget=48)


def synthetic(space: SearchSpace, name: str, seed: int, budget: int = BUDGET) -> Case:
    """Accuracy that saturates in multiply-adds, plus a random term for every pair of active choices."""
    columns = np.repeat(np.arange(len(space.cardinalities)), space.cardinalities)
    values = np.concatenate([np.arange(cardinality) for cardinality in space.cardinalities])
    rng = np.random.default_rng(seed)
    single, pair = rng.normal(size=len(columns)), rng.normal(size=(len(columns),) * 2) / len(space.cardinalities)
    macs_of = priced(space)

    def costs(genomes: np.ndarray) -> np.ndarray:
        hot = ((genomes[:, columns] == values) & space.active(genomes)[:, columns]).astype(float)
        macs = macs_of(genomes)
        return np.stack([-np.log(macs) - 0.1 * (hot @ single + ((hot @ pair) * hot).sum(axis=1)), macs], axis=1)

    largest = costs(space.encode(space.largest())[None])[0]
    return Case(name, space, costs, macs_of, np.array([largest[0] + 3.0, 1.1 * largest[1]]), budget)


def priced(space: SearchSpace) -> Callable[[np.ndarray], np.ndarray]:
    """Millions of multiply-adds of genomes [n, genes], float [n]."""
    prices = price_list(space, lambda operator: operator_cost(operator).macs / 1e6)
    return lambda genomes: prices.sums(genomes)[0]


def of_run(run: Path) -> Callable[[int], Case]:
    """A model of the accuracies that a search has measured, over the multiply-adds.

    Its form is unlike our predictor's: ridge regression on one-hot genes plus extremely random trees on the rest.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.linear_model import Ridge

    from nas.space.architecture import Architecture

    space = SearchSpace.from_dict(json.loads((run / "run.json").read_text())["space_definition"])
    rows = [
        json.loads(line)
        for path in sorted(run.glob("search/*/evaluations.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    known = np.array([space.encode(Architecture.from_json(row["architecture"])) for row in rows])
    accuracy = np.array([row["accuracy"] for row in rows])
    columns = np.repeat(np.arange(len(space.cardinalities)), space.cardinalities)
    values = np.concatenate([np.arange(cardinality) for cardinality in space.cardinalities])

    def hot(genomes: np.ndarray) -> np.ndarray:
        return ((genomes[:, columns] == values) & space.active(genomes)[:, columns]).astype(np.float32)

    linear = Ridge(1.0).fit(hot(known), accuracy)
    trees = [
        ExtraTreesRegressor(100, min_samples_leaf=2, random_state=seed).fit(
            hot(known), accuracy - linear.predict(hot(known))
        )
        for seed in range(1)
    ]
    macs_of = priced(space)

    def costs(genomes: np.ndarray) -> np.ndarray:
        rest = np.mean([tree.predict(hot(genomes)) for tree in trees], axis=0)
        return np.stack([-100 * (linear.predict(hot(genomes)) + rest), macs_of(genomes)], axis=1)

    worst = macs_of(space.encode(space.largest())[None])[0]
    reference = np.array([-100 * float(np.quantile(accuracy, 0.0)) + 2.0, 1.1 * worst])
    return lambda seed: Case("supernet", space, costs, macs_of, reference)


@dataclass(frozen=True)
class Outcome:
    """Costs in the order they were evaluated, and the process's own CPU seconds without them."""

    costs: np.ndarray
    seconds: float


class Watched:
    """The true costs of a case, with a record of the expensive evaluations and of the time they took."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.rows: list[np.ndarray] = []
        self.seconds = 0.0

    def __call__(self, genomes: np.ndarray) -> np.ndarray:
        start = time.process_time()
        costs = self.case.costs(as_genomes(self.case.space, genomes))
        self.rows.extend(costs)
        self.seconds += time.process_time() - start
        return costs


def run_ours(case: Case, algorithm: str, seed: int) -> Watched:
    """One search by our loop; what it spends on pricing cheap figures counts as its own seconds."""
    watched = Watched(case)
    encode = case.space.encode if isinstance(case.space, SearchSpace) else tuple
    last = len(case.reference) - 1

    def encoded(candidates: list[Any]) -> np.ndarray:
        return as_genomes(case.space, [encode(candidate) for candidate in candidates])

    def figure(i: int) -> Objective:
        if i == last and case.cheap is not None:
            cheap = case.cheap
            return Objective(f"f{i}", "min", lambda cs: cheap(encoded(cs)), evaluate_genomes=cheap)
        return Objective(f"f{i}", "min", lambda cs: watched(encoded(cs))[:, i], expensive=True)

    result = search(
        case.space,
        objectives=[figure(i) for i in range(last + 1)],
        algorithm=algorithm,
        budget=case.budget,
        batch=BATCH,
        seed=seed,
        initial=case.initial(),
    )
    watched.rows = list(case.costs(as_genomes(case.space, [each.genome for each in result.evaluations])))
    return watched


def run_pymoo(case: Case, algorithm: str, seed: int) -> Watched:
    """NSGA-II with the operators pymoo's guide gives for integers, population 20: the best of 20, 50 and 100 here."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.optimize import minimize

    watched, most = Watched(case), np.asarray(case.space.cardinalities) - 1

    class Wrapped(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=len(most), n_obj=len(case.reference), xl=0 * most, xu=most, vtype=int)

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = watched(x)

    size = 20
    drawn = np.random.default_rng(seed).integers(0, most + 1, size=(size - 3, len(most)))
    engine = NSGA2(
        pop_size=size,
        sampling=np.concatenate([np.array(case.initial()), drawn]),
        crossover=SBX(prob=0.9, eta=15, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=20, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Wrapped(), engine, ("n_eval", case.budget), seed=seed)
    return watched


def run_optuna(case: Case, algorithm: str, seed: int) -> Watched:
    """NSGA-II or TPE with optuna's defaults over categorical choices."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"optuna-nsga2": optuna.samplers.NSGAIISampler, "optuna-tpe": optuna.samplers.TPESampler}
    study = optuna.create_study(directions=["minimize"] * len(case.reference), sampler=samplers[algorithm](seed=seed))
    watched, names = Watched(case), [f"g{i}" for i in range(len(case.space.cardinalities))]
    for genome in case.initial():
        study.enqueue_trial(dict(zip(names, genome, strict=True)))

    def evaluate(trial: Any) -> list[float]:
        choices = zip(names, case.space.cardinalities, strict=True)
        return watched(np.array([[trial.suggest_categorical(name, range(n)) for name, n in choices]]))[0].tolist()

    study.optimize(evaluate, n_trials=case.budget)
    return watched


def run(case: Case, algorithm: str, seed: int) -> Outcome:
    """Run one algorithm; its seconds leave out those of the objectives."""
    runner = run_ours if algorithm in OURS else run_pymoo if algorithm == "pymoo-nsga2" else run_optuna
    start = time.process_time()
    watched = runner(case, algorithm, seed)
    return Outcome(np.array(watched.rows)[: case.budget], time.process_time() - start - watched.seconds)


def best_front(case: Case, found: Sequence[np.ndarray]) -> np.ndarray:
    """Front of two long evolutions on the true costs and of all that was found."""
    parts = list(found)
    for seed in range(2):
        rng = np.random.default_rng(10_000 + seed)
        start = np.concatenate(
            [case.initial(), rng.integers(case.space.cardinalities, size=(300, len(case.space.cardinalities)))]
        )
        _, costs, _ = evolve(
            case.space,
            rng,
            lambda genomes: (case.costs(genomes), np.zeros(len(genomes))),
            start[:0],
            start,
            set(),
            size=300,
            num_children=300,
            generations=200,
        )
        parts.append(costs)
    everything = np.concatenate(parts)
    return everything[non_dominated(everything)]


def volumes(case: Case, costs: np.ndarray) -> np.ndarray:
    """Hypervolume after each evaluation, float [n]."""
    front, volume = costs[:0], []
    for row in costs:
        front = np.concatenate([front, row[None]])
        front = front[non_dominated(front)]
        volume.append(hypervolume(front, case.reference))
    return np.array(volume)


def reached(history: np.ndarray, level: float) -> float:
    """Number of evaluations until the hypervolume is `level`; infinite where it never is."""
    at_least = np.flatnonzero(history >= level * (1 - 1e-12))
    return float(at_least[0] + 1) if len(at_least) else float("inf")


def compare(build: Callable[[int], Case], algorithms: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """Run every algorithm with every seed on one problem; one row per algorithm."""
    table: dict[str, list[tuple[float, float, float, float, float]]] = {name: [] for name in algorithms}
    for seed in range(seeds):
        case = build(seed)
        outcomes = {name: run(case, name, seed) for name in algorithms}
        best = hypervolume(best_front(case, [outcome.costs for outcome in outcomes.values()]), case.reference)
        histories = {name: volumes(case, outcome.costs) for name, outcome in outcomes.items()}
        baseline = histories[BASELINE][-1]
        for name, history in histories.items():
            missing = best - history[-1]
            regret = missing / (best - baseline) if best > baseline else float("inf") if missing > 0 else 0.0
            exact = reached(history, best)
            share = history[-1] / best
            table[name].append((reached(history, baseline), share, regret, outcomes[name].seconds, exact))
        print(case.name, seed, {name: tuple(np.round(rows[-1], 3)) for name, rows in table.items()}, file=sys.stderr)
    rows = []
    for name, runs in table.items():
        to_baseline, share, regret, seconds, exact = (statistics.median(column) for column in zip(*runs, strict=True))
        row = {"problem": case.name, "algorithm": name, "evaluations_to_baseline": to_baseline, "share_of_best": share}
        rows.append(
            {**row, "regret_ratio": regret, "engine_seconds": seconds, "evaluations_to_best": exact, "runs": runs}
        )
    return rows


def race_all(build: Callable[[int], Case], seeds: int) -> str:
    """What racing saves and what it changes, on a validation split of which every image is right by chance."""
    ratios, saved = zip(*(race_one(build(seed), seed) for seed in range(seeds)), strict=True)
    return (
        f"Racing, {IMAGES} images, {BUDGET} evaluations, {seeds} seeds: hypervolume {statistics.median(ratios):.4f} "
        f"(from {min(ratios):.4f} to {max(ratios):.4f}) times that without, {statistics.median(saved):.0%} of the "
        "images saved."
    )


def race_one(case: Case, seed: int) -> tuple[float, float]:
    """Hypervolume with racing over that without, and the share of images saved, by one pair of searches."""
    space, cheap = case.space, case.cheap
    assert isinstance(space, SearchSpace) and cheap is not None
    ends = [0, *(round(share * IMAGES) for share in SHARES)]

    def answers(candidate: Any) -> np.ndarray:
        genome = space.encode(candidate)
        return np.random.default_rng(genome.tolist()).random(IMAGES) < -case.costs(genome[None])[0, 0] / 100

    def count(candidate: Any, stage: int) -> tuple[int, int]:
        part = answers(candidate)[ends[stage] : ends[stage + 1]]
        return int(part.sum()), len(part)

    def whole(candidates: list[Any]) -> list[float]:
        return [float(answers(candidate).mean()) for candidate in candidates]

    def macs_of(candidates: list[Any]) -> np.ndarray:
        return cheap(np.array([space.encode(candidate) for candidate in candidates]))

    macs = Objective("macs", "min", macs_of, evaluate_genomes=cheap)
    found = [
        search(
            space,
            objectives=[Objective("accuracy", "max", whole, expensive=True, stages=stages), macs],
            budget=BUDGET,
            batch=BATCH,
            seed=seed,
            initial=case.initial(),
            reference={"accuracy": -case.reference[0] / 100, "macs": case.reference[1]},
        )
        for stages in (None, Stages(SHARES, count))
    ]
    plain, raced = (result.hypervolume_history[-1][1] for result in found)
    print("racing", seed, raced / plain, found[1].saved_share, file=sys.stderr)
    return raced / plain, found[1].saved_share


def number(value: float, digits: int) -> str:
    """Print a number, or a dash where it was never reached."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def markdown(rows: Sequence[dict[str, Any]], seeds: int) -> str:
    """The table, with the machine, date and seeds above it."""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    lines = [
        f"{datetime.date.today()}, {os.cpu_count()} CPUs {platform.machine()}, OMP_NUM_THREADS={threads}, Python "
        f"{platform.python_version()}, numpy {np.__version__}, seeds 0-{seeds - 1}: medians; ratios paired by seed.",
        "",
        f"| problem | algorithm | evaluations to {BASELINE}'s hypervolume at the end | hypervolume / best known | "
        f"regret / {BASELINE}'s | engine CPU s | evaluations to best known |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['problem']} | {row['algorithm']} | {number(row['evaluations_to_baseline'], 0)} | "
            f"{number(row['share_of_best'], 4)} | {number(row['regret_ratio'], 2)} | "
            f"{number(row['engine_seconds'], 1)} | {number(row['evaluations_to_best'], 0)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run directory with a search, for the problem 'supernet'")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--problems", nargs="*", help="only these")
    parser.add_argument("--algorithms", nargs="*", default=[*OURS, *PEERS], help=f"always with {BASELINE}")
    parser.add_argument("--json", type=Path, help="write every run's figures here too")
    parser.add_argument("--racing", action="store_true", help="only what racing saves on the problem 'supernet'")
    options = parser.parse_args()
    problems: dict[str, Callable[[int], Case]] = {
        "toy": toy,
        "epistasis": epistasis,
        "zdt1": benchmark_function("zdt1", 10, 8, (1.1, 7.0)),
        "zdt3": benchmark_function("zdt3", 10, 8, (1.1, 7.0)),
        "dtlz2": benchmark_function("dtlz2", 8, 6, (2.0, 2.0, 2.0)),
    }
    if options.run is not None:
        problems["supernet"] = of_run(options.run)
    if options.racing:
        print(race_all(problems["supernet"], options.seeds))
        return
    algorithms = list(dict.fromkeys([*options.algorithms, BASELINE]))
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    for name in options.problems or problems:
        rows += compare(problems[name], algorithms, options.seeds)
        if options.json is not None:
            options.json.write_text(json.dumps(rows, indent=1))
    print(markdown(rows, options.seeds))


if __name__ == "__main__":
    main()
