import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.space.search_space import SearchSpace, parse_space

GOOD = """name: mini
num_classes: 10
resolution: [14, 16]
stages:
  - width: [8, 16]
    depth: [1]
    blocks:
      conv: {kernel: [3, 5], expansion: [2]}
      ssd: {expansion: [1], heads: [4], state: [8], kernel: [3], directions: [[h], [h, v]], mode: [sum, group]}
"""


def test_a_good_file_is_read():
    space = parse_space(GOOD, "mini.yaml")
    assert space.size == 2 * 2 * (2 + 1 + 2)  # two kernels; one direction has no mode, two have two


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("width:", "widht:", "line 5: a stage has no key 'widht'. Did you mean 'width'"),
        ("kernel: [3, 5]", "kernal: [3, 5]", "line 8: block kind 'conv' has no key 'kernal'. Did you mean 'kernel'"),
        ("conv:", "convv:", "line 8: blocks has no key 'convv'. Did you mean 'conv'"),
        ("[h, v]", "[h, v_flp]", "line 9: directions .* Did you mean 'v_flip'"),
        ("[8, 16]", "[]", "line 5: width has no choice"),
        ("[8, 16]", "[8, 6]", "line 9: .*width 6 x expansion 1 does not divide by 4 heads"),
        ("[8, 16]", "[8, 8]", "line 5: width has a choice twice"),
        ("[8, 16]", "8", "line 5: width must be a list"),
        ("kernel: [3, 5]", "kernel: [4]", "line 8: kernel 4 must be an odd"),
        ("depth: [1]", "depth: [0]", "line 6: depth 0 must be a positive"),
        ("depth: [1]", "depth: [true]", "line 6: depth True must be a positive"),
        ("resolution: [14, 16]\n", "", "line 1: a search space lacks 'resolution'"),
        ("heads: [4]", "heads: [1]", "line 9: .*1 heads do not divide into 2 direction groups"),
        ("num_classes: 10", "num_classes: 10\nnum_classes: 3", "line 3: .*twice"),
        ("stages:", "stages: [", "is not YAML"),
        ("    depth: [1]\n", "    depth: [1]\n    bits: [8]\n", "bits lacks fp"),
        ("[[h], [h, v]]", "[[h, w7], [v]]", r"line 9: directions \[h, w7\]: on the 7 x 7 grid of 14 px w7 is h"),
        (
            "[[h], [h, v]]",
            "[[h], [w7]]",
            r"line 9: directions \[h\] and \[w7\] are the same on the 7 x 7 grid of 14 px",
        ),
        ("[[h], [h, v]]", "[[v, h], [h, v]]", r"line 9: directions \[v, h\] and \[h, v\] are the same"),
        (
            "      conv:",
            "      attention: {heads: [4], expansion: [2], scope: [global, window-7]}\n      conv:",
            "line 8: scope: window-7 is global on the 7 x 7 grid of 14 px",
        ),
        ("stages:", "stem: patch\nstages:", "line 4: no stem 'patch'. Did you mean 'patch-16'"),
        ("stages:", "stem: patch-7\nstages:", r"line 4: the stem patch-7 needs one resolution that divides by 7"),
        ("    depth: [1]\n", "    depth: [1]\n    stride: 1\n", "line 7: the first stage has no stride"),
    ],
)
def test_an_error_names_its_line_and_the_close_word(old, new, said):
    assert old in GOOD
    with pytest.raises(NasError, match=f"mini.yaml.*{said}"):
        parse_space(GOOD.replace(old, new, 1), "mini.yaml")


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_with_an_explanation(text):
    try:
        parse_space(text, "fuzz.yaml")
    except NasError as error:
        assert "fuzz.yaml" in str(error)


@given(st.sampled_from(GOOD.splitlines()), st.text("[]{}:,-#&*! \nabh3", max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_is_read_or_refused_with_an_explanation(line, noise):
    try:
        parse_space(GOOD.replace(line, noise, 1), "fuzz.yaml")
    except NasError as error:
        assert "fuzz.yaml" in str(error)


def test_an_unknown_space_suggests_the_close_one(tmp_path):
    with pytest.raises(NasError, match="Did you mean 'scan-mix-tiny'"):
        SearchSpace.load("scan-mix-tny")
    with pytest.raises(NasError, match=r"no search space file .*gone\.yaml"):
        SearchSpace.load(tmp_path / "gone.yaml")


TWO_STAGES = (
    GOOD.replace("[14, 16]", "[224]")
    + """  - width: [32]
    depth: [1]
    stride: 1
    blocks: {basic: {}}
"""
)


def test_a_stem_and_a_stride_are_fixed_and_make_the_grids():
    assert parse_space(TWO_STAGES, "two.yaml").grids(224) == (112, 112)
    assert parse_space(TWO_STAGES.replace("stride: 1", "stride: 2"), "two.yaml").grids(224) == (112, 56)
    double = parse_space(TWO_STAGES.replace("stages:", "stem: double-conv\nstages:"), "two.yaml")
    assert double.grids(224) == (56, 56)
    patch = parse_space(TWO_STAGES.replace("stages:", "stem: patch-16\nstages:"), "two.yaml")
    assert patch.grids(224) == (14, 14)
    assert SearchSpace.from_dict(patch.to_dict()) == patch
    architecture = patch.largest()
    assert (architecture.stem, [stage.stride for stage in architecture.stages]) == ("patch-16", [2, 1])
    assert [op.kind for op in patch.operators_of(architecture)][0::2] == ["patch-stem", "widen", "head"]
    assert architecture not in double and double.largest() in double
    with pytest.raises(NasError, match="line 12: stride 3 must be 1 or 2"):
        parse_space(TWO_STAGES.replace("stride: 1", "stride: 3"), "two.yaml")


def test_a_mapping_may_take_over_another_one_s_entries():
    merged = (
        GOOD.replace("blocks:", "blocks: &first")
        + """  - width: [32]
    depth: [1]
    blocks: {<<: *first, conv: {kernel: [7], expansion: [2]}}
"""
    )
    first, second = parse_space(merged, "merged.yaml").stages
    assert list(second.kinds) == ["conv", "ssd"]
    assert second.kinds["ssd"] == first.kinds["ssd"] and second.kinds["conv"]["kernel"] == (7,)
