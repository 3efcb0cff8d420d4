import pytest

from nas.errors import NasError
from nas.space.cost_formulas import basic_cost
from nas.space.graph_size import GraphSize
from nas.space.kinds import FIXED_KINDS, KINDS, Kind, active_settings, kind_of, misfit
from nas.space.operator import TRANSITIONS
from nas.space.requirements import Condition
from nas.space.settings import hidden_width, odd, ratio, scope, scope_side


def test_blocks_and_what_stands_around_them_have_records_of_one_type_under_distinct_names():
    assert not KINDS.keys() & FIXED_KINDS.keys()
    assert set(TRANSITIONS) < FIXED_KINDS.keys()
    assert all(kind_of(name).integer_kernels is not None for name in (*KINDS, *FIXED_KINDS))
    with pytest.raises(NasError, match="no kind of operator 'head-s'"):
        kind_of("head-s")


def test_a_mode_has_an_effect_only_with_several_directions():
    for directions, names in ((("h",), ["directions"]), (("h", "v"), ["directions", "mode"])):
        assert list(active_settings("ssd", {"directions": directions, "mode": "sum"})) == names


@pytest.mark.parametrize("other", ["kernel", "width"])
def test_a_setting_depends_only_on_one_that_comes_before_it(other):
    with pytest.raises(NasError, match=f"'band' cannot depend on '{other}'"):
        Kind(
            settings={"band": odd, "kernel": odd},
            active_when={"band": Condition(other, bool)},
            cost=basic_cost,
            graph=GraphSize(1, 1, 1),
        )


@pytest.mark.parametrize("value", ["global", "window-7", "grid-2", "window-14"])
def test_a_scope_is_global_or_names_its_tokens_a_side(value):
    assert scope(value) is None
    assert scope_side(value) == (None if value == "global" else int(value.split("-")[1]))


@pytest.mark.parametrize(
    "value", ["window", "window-", "window-0", "window-07", "window-x", "windows-7", "grid", 7, None, ["h"]]
)
def test_what_is_no_scope_is_refused_with_an_example(value):
    assert "window-7" in scope(value)


@pytest.mark.parametrize(("value", "good"), [(2, True), (3.5, True), (0, False), (-1.5, False), (True, False)])
def test_an_expansion_is_a_positive_number(value, good):
    assert (ratio(value) is None) is good
    assert ratio("2") and ratio(float("inf")) and ratio(float("nan"))


def test_the_hidden_width_is_the_nearest_whole_number():
    assert [hidden_width(24, 3.5), hidden_width(16, 8 / 3), hidden_width(10, 1)] == [84, 43, 10]


@pytest.mark.parametrize(
    ("kind", "width", "settings", "said"),
    [
        ("conv", 7, {"expansion": 1.5, "kernel": 3}, None),
        ("large-kernel", 16, {}, None),
        ("large-kernel", 20, {}, "width 20 does not divide by 8"),
        ("attention", 12, {"heads": 4, "expansion": 1.5}, None),
        ("attention", 10, {"heads": 4, "expansion": 2}, "width 10 does not divide by 4 heads"),
        ("nc-ssd", 10, {"heads": 4, "expansion": 2}, None),
        ("nc-ssd", 10, {"heads": 4, "expansion": 1.5}, "width 10 x expansion 1.5 does not divide by 4 heads"),
        ("ssd", 8, {"heads": 4, "expansion": 1, "directions": ("h", "v"), "mode": "group"}, None),
        ("ssd", 8, {"heads": 1, "expansion": 1, "directions": ("h", "v"), "mode": "group"}, "2 direction groups"),
        ("state-fusion", 8, {"heads": 4, "expansion": 1, "directions": ("h", "v")}, "one direction, not in 2"),
        ("multiscale", 8, {"heads": 4, "expansion": 1, "directions": ("h",)}, "two directions or more"),
    ],
)
def test_settings_that_do_not_fit_are_explained(kind, width, settings, said):
    found = misfit(kind, width, settings)
    assert (found is None) if said is None else (said in found)
