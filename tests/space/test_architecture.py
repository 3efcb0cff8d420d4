import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nas
from nas.errors import NasError
from nas.space.architecture import Architecture, Block, Stage
from nas.space.block_checks import check_blocks
from nas.space.cost import architecture_cost

WITH_NUMBERS = (
    '{{"resolution": {resolution}, "stages": '
    '[{{"width": {width}, "blocks": [{{"kind": "pool", "kernel": {kernel}, "expansion": {expansion}}}]}}]}}'
)
NUMBERS = {"resolution": "32", "width": "8", "kernel": "3", "expansion": "2"}


def example() -> Architecture:
    scan = Block.of("ssd", directions=("h", "v_flip"), mode="group", heads=4, state=8, kernel=3, expansion=1)
    return Architecture(
        32, (Stage(16, (Block.of("basic"),)), Stage(32, (Block.of("conv", kernel=3, expansion=2), scan)))
    )


def test_json_gives_the_same_value_back():
    architecture = example()
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert nas.Architecture is Architecture


def test_json_is_canonical_whatever_the_order_of_settings():
    first = Block.of("conv", kernel=3, expansion=2)
    second = Block.of("conv", expansion=2, kernel=3)
    assert first == second and hash(first) == hash(second)
    shuffled = json.loads(example().to_json())
    shuffled["stages"] = [dict(reversed(stage.items())) for stage in shuffled["stages"]]
    assert Architecture.from_json(json.dumps(shuffled)).to_json() == example().to_json()


def test_the_id_depends_on_every_part():
    base = example()
    others = [
        Architecture(24, base.stages),
        Architecture(32, base.stages[:1]),
        Architecture(32, (Stage(24, base.stages[0].blocks), base.stages[1])),
    ]
    assert len({base.id, *(other.id for other in others)}) == 4
    assert len(base.id) == 10 and int(base.id, 16) >= 0


def test_a_stem_and_a_stride_are_written_down_only_where_they_are_not_the_usual_ones():
    base = example()
    assert "stem" not in base.to_json() and "stride" not in base.to_json()
    other = Architecture(32, (base.stages[0], Stage(32, base.stages[1].blocks, stride=1)), "patch-4")
    assert Architecture.from_json(other.to_json()) == other
    assert len({base.id, other.id, Architecture(32, base.stages, "patch-4").id}) == 3


def test_a_whole_number_is_the_same_whichever_way_it_is_written():
    assert Block.of("conv", expansion=4.0).to_dict() == Block.of("conv", expansion=4).to_dict()
    assert Block.of("conv", expansion=3.5)["expansion"] == 3.5


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"resolution": 8, "stem": "patch-", "stages": [{"width": 8, "blocks": [{"kind": "basic"}]}]}',
        "[]",
        "{}",
        '{"resolution": 32, "stages": [{"width": 8}]}',
        '{"resolution": "x"}',
    ],
)
def test_what_is_no_architecture_is_refused(text):
    with pytest.raises(NasError, match="not an architecture"):
        Architecture.from_json(text)


@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1e400", "1" + "0" * 400, "true", "null", "{}"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_infinite_or_huge_or_no_number_is_refused(name, value):
    assert Architecture.from_json(WITH_NUMBERS.format(**NUMBERS)).stages[0].width == 8
    with pytest.raises(NasError, match="not an architecture"):
        Architecture.from_json(WITH_NUMBERS.format(**NUMBERS | {name: value}))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=4,
)


def places(value, path=()):
    """List the paths to all parts of a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, part in parts for inner in places(part, (*path, key)))]


@given(st.sampled_from(places(example().to_dict())[1:]), ANY_JSON)
def test_an_architecture_with_any_wrong_value_is_refused_or_can_be_priced(path, value):
    data = example().to_dict()
    *above, last = path
    parent = data
    for key in above:
        parent = parent[key]
    parent[last] = value
    try:
        architecture = Architecture.from_json(json.dumps(data))
        check_blocks(architecture)
    except NasError:
        return
    assert architecture_cost(architecture, 10).macs > 0
