"""Search algorithms by name: each proposes genomes (`ask`) and learns from their costs (`tell`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from nas.errors import NasError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from nas.search.problem import Problem, SearchAlgorithm

# Where each algorithm lives; resolved on use, so that the package stays light.
ALGORITHMS = {
    "surrogate": "nas.search.algorithms.surrogate:Surrogate",
    "nsga2": "nas.search.algorithms.nsga2:Nsga2",
    "local": "nas.search.algorithms.local:LocalSearch",
    "tpe": "nas.search.algorithms.tpe:Tpe",
    "sensitivity": "nas.search.algorithms.sensitivity:Sensitivity",
    "random": "nas.search.algorithms.random_search:RandomSearch",
}


def load_algorithm(name: str) -> Callable[[Problem, np.random.Generator], SearchAlgorithm]:
    """Return the class of an algorithm, to be built from `(problem, rng)`; `NasError` for an unknown name."""
    if name not in ALGORITHMS:
        raise NasError(f"unknown search algorithm '{name}'", did_you_mean(name, ALGORITHMS))
    module, _, attribute = ALGORITHMS[name].partition(":")
    algorithm: Callable[[Problem, np.random.Generator], SearchAlgorithm] = getattr(
        importlib.import_module(module), attribute
    )
    return algorithm
