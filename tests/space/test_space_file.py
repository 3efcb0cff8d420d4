import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.space.search_space import SearchSpace
from nas.space.space_file import parse_space

GOOD = """name: mini
num_classes: 10
resolution: [16]
stages:
  - width: [8, 16]
    depth: [1]
    blocks:
      conv: {kernel: [3, 5], expansion: [2]}
      ssd: {expansion: [1], heads: [4], state: [8], kernel: [3], directions: [[h], [h, v]], mode: [sum, group]}
"""


def test_a_good_file_is_read():
    space = parse_space(GOOD, "mini.yaml")
    assert space.size == 2 * (2 + 1 + 2)  # two kernels; one direction has no mode, two have two


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
        ("resolution: [16]\n", "", "line 1: a search space lacks 'resolution'"),
        ("heads: [4]", "heads: [1]", "line 9: .*1 heads do not divide into 2 direction groups"),
        ("num_classes: 10", "num_classes: 10\nnum_classes: 3", "line 3: .*twice"),
        ("stages:", "stages: [", "is not YAML"),
        ("    depth: [1]\n", "    depth: [1]\n    bits: [8]\n", "bits 8 must be fp"),
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
