"""Which candidates to choose: objectives and constraints in, a front out. No torch, no hardware.

The package is callable, because the public name `nas.search` is both this package and the function `search` of
`nas.search.loop`: `nas.search(space, objectives=[...])` forwards to it.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from nas.errors import NasError, did_you_mean

# Where each algorithm lives; resolved on use, so that the package stays light.
ALGORITHMS = {
    "surrogate": "nas.search.algorithms.surrogate:Surrogate",
    "nsga2": "nas.search.algorithms.nsga2:Nsga2",
    "local": "nas.search.algorithms.local:LocalSearch",
    "tpe": "nas.search.algorithms.tpe:Tpe",
    "sensitivity": "nas.search.algorithms.sensitivity:Sensitivity",
    "random": "nas.search.algorithms.random_search:RandomSearch",
}


def load_algorithm(name: str) -> Any:
    """Import the class of an algorithm, to be built from `(problem, rng)`; `NasError` for an unknown name."""
    if name not in ALGORITHMS:
        raise NasError(f"unknown search algorithm '{name}'", did_you_mean(name, ALGORITHMS))
    module, _, attribute = ALGORITHMS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


class CallablePackage(types.ModuleType):
    """A package that is also the function `nas.search.loop.search`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Forward to `nas.search.loop.search`."""
        from nas.search.loop import search

        return search(*args, **kwargs)


sys.modules[__name__].__class__ = CallablePackage
