from types import SimpleNamespace

import pytest

from nas.errors import NasError
from nas.run.run import Run
from nas.run.search import Search, SearchRecord
from nas.run.search_settings import SearchSettings
from nas.run.staleness import check_table, check_weights
from nas.workflows.compare.command import common_recipe


def recorded(run: Run, table_sha256: str = "a") -> Search:
    """Return the search of a run that was made from its present weights."""
    search = run.search("cpu")
    search.write_record(
        SearchRecord(
            device="cpu",
            settings=SearchSettings(),
            after=(),
            weights_sha256=run.weights_digest(),
            table_sha256=table_sha256,
        )
    )
    return search


def test_a_search_of_other_weights_is_refused_with_the_remedy(tmp_path):
    run = Run(tmp_path)
    run.weights_path.write_bytes(b"first")
    search = recorded(run)
    check_weights(run, search)
    run.weights_path.write_bytes(b"trained further")
    with pytest.raises(NasError, match=r"changed since the search.*Search again"):
        check_weights(run, search)


def test_a_search_by_another_table_is_refused_with_the_remedy(tmp_path):
    run = Run(tmp_path)
    run.weights_path.write_bytes(b"weights")
    search = recorded(run)
    check_table(SimpleNamespace(header=SimpleNamespace(csv_sha256="a", device="cpu")), search)
    with pytest.raises(NasError, match=r"table of 'cpu' has changed.*Search again"):
        check_table(SimpleNamespace(header=SimpleNamespace(csv_sha256="b", device="cpu")), search)


def subnet(identity, settings, base_settings=None, trials=None):
    training = SimpleNamespace(settings=settings, base_settings=base_settings, trials=trials)
    return SimpleNamespace(id=identity, training=training)


def test_one_comparison_has_one_recipe():
    alike = [subnet("a", {"epochs": 3}), subnet("b", {"epochs": 3})]
    recipe, trials = common_recipe(alike)
    assert (recipe.epochs, trials) == (3, 0)
    with pytest.raises(NasError, match=r"a and c were trained by different recipes.*--pick a --pick c"):
        common_recipe([*alike, subnet("c", {"epochs": 4})])


def test_recipes_that_were_tuned_alike_are_one_recipe():
    base = {"base_settings": {"epochs": 3}, "trials": 8}
    tuned = [subnet("a", {"epochs": 2}, **base), subnet("b", {"epochs": 3}, **base)]
    recipe, trials = common_recipe(tuned)
    assert (recipe.epochs, trials) == (3, 8)
    with pytest.raises(NasError, match="a and c were trained by different recipes"):
        common_recipe([*tuned, subnet("c", {"epochs": 3})])


def test_a_recipe_from_before_a_setting_existed_is_the_same_recipe():
    common_recipe([subnet("a", {"epochs": 3}), subnet("b", {"epochs": 3, "sparsity": ""})])
