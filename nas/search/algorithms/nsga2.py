"""NSGA-II over categorical genomes (Deb et al. 2002): pymoo's selection and survival, our operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.repair import Repair
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem

from nas.search.algorithms.random_search import sample_unseen
from nas.search.problem import DesignSpace, Genome, Problem, as_genomes, as_tuples, canonical
from nas.search.variation import cross, mutate

POPULATION = 20  # of 20 to 60 the best hypervolume after 300 evaluations of 20 three-way genes with epistasis
MATING_ROUNDS = 10  # of only seen children, before random genomes fill the batch


class Nsga2:
    """Proposes children of the best genomes so far: uniform crossover, then a few active genes changed.

    The first `population` genomes are random. Infeasible ones lose against feasible ones and among each other by
    their violation (Deb's constraint domination).
    """

    def __init__(self, problem: Problem, rng: np.random.Generator, population: int = POPULATION) -> None:
        self.space = problem.space
        self.rng = rng
        self.seen: set[Genome] = set()
        self.num_told = 0
        self.frame = PymooProblem(len(self.space.cardinalities), len(problem.objectives), n_ieq_constr=1)
        self.engine = NSGA2(
            population,
            crossover=ActiveCrossover(self.space),
            mutation=ActiveMutation(self.space),
            repair=Canonical(self.space),
            eliminate_duplicates=Unseen(self.seen),
        )
        self.engine.mating.n_max_iterations = MATING_ROUNDS
        self.engine.setup(self.frame, termination=NoTermination())
        self.engine.random_state = rng

    def ask(self, n: int) -> np.ndarray:
        """Propose n genomes never proposed or told before, int [n, genes]; fewer when the space is exhausted."""
        genomes = as_genomes(self.space, [])
        if n > 0 and self.num_told >= self.engine.pop_size:
            genomes = self.children(n)
        self.seen.update(as_tuples(genomes))
        rest = sample_unseen(self.space, self.rng, self.seen, n - len(genomes))
        self.seen.update(as_tuples(rest))
        return np.concatenate([genomes, rest])

    def children(self, n: int) -> np.ndarray:
        """Mate the population until there are n unseen children, or MATING_ROUNDS are over."""
        engine = self.engine
        children = engine.mating.do(self.frame, engine.pop, n, algorithm=engine, random_state=self.rng)
        return as_genomes(self.space, children.get("X") if len(children) else [])

    def tell(self, genomes: np.ndarray, costs: np.ndarray, violations: np.ndarray) -> None:
        """Let genomes [k, genes] compete by costs [k, objectives], where infeasible by violations [k]."""
        if not len(genomes):
            return
        self.seen.update(as_tuples(genomes))
        self.num_told += len(genomes)
        feasible = (violations <= 0)[:, None]
        outcome = StaticProblem(self.frame, F=np.where(feasible, costs, np.inf), G=violations[:, None])
        population = Population.new("X", genomes)
        Evaluator().eval(outcome, population)
        self.engine.tell(infills=population)


class ActiveCrossover(Crossover):
    """Uniform crossover of active genes to one child."""

    def __init__(self, space: DesignSpace) -> None:
        super().__init__(n_parents=2, n_offsprings=1)
        self.space = space

    def _do(self, _: Any, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
        return cross(X[0], X[1], self.space.active(X[0]), self.space.active(X[1]), random_state)[None]


class ActiveMutation(Mutation):
    """Change about one active gene, and draw the inactive ones again."""

    def __init__(self, space: DesignSpace) -> None:
        super().__init__()
        self.space = space

    def _do(self, _: Any, X: np.ndarray, *args: Any, random_state: Any = None, **kwargs: Any) -> np.ndarray:
        return mutate(self.space, X, random_state)


class Canonical(Repair):
    """Clear inactive genes."""

    def __init__(self, space: DesignSpace) -> None:
        super().__init__()
        self.space = space

    def _do(self, _: Any, X: np.ndarray, **kwargs: Any) -> np.ndarray:
        return canonical(self.space, X)


class Unseen(DuplicateElimination):
    """Drop genomes that were proposed or told before, or that repeat one another."""

    def __init__(self, seen: set[Genome]) -> None:
        super().__init__()
        self.seen = seen

    def _do(self, pop: Any, other: Any, is_duplicate: np.ndarray) -> np.ndarray:
        earlier = self.seen if other is None else set(as_tuples(other.get("X")))
        here: set[Genome] = set()
        for i, genome in enumerate(as_tuples(pop.get("X"))):
            is_duplicate[i] = genome in earlier or genome in here
            here.add(genome)
        return is_duplicate
