import subprocess
import sys

import pytest

import nas.search
from nas.errors import NasError
from nas.search.algorithms import ALGORITHMS, load_algorithm


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, nas.search, nas.search.problem, nas.search.pareto, nas.search.loop; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "nas.search" in loaded
    assert not {"torch", "pymoo", "moocore", "optuna", "pandas", "scipy"} & {name.split(".")[0] for name in loaded}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_can_be_loaded_and_asks_and_tells(name):
    algorithm = load_algorithm(name)
    assert callable(algorithm.ask)
    assert callable(algorithm.tell)


def test_an_unknown_algorithm_names_the_close_match():
    with pytest.raises(NasError, match="Did you mean 'nsga2'"):
        load_algorithm("nsga")


def test_the_package_is_the_function(monkeypatch):
    monkeypatch.setattr("nas.search.loop.search", lambda *args, **kwargs: (args, kwargs))
    assert nas.search("space", budget=1) == (("space",), {"budget": 1})
