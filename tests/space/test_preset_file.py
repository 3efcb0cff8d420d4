import pytest

from nas.errors import NasError
from nas.space.architecture import Architecture, Block, Stage
from nas.space.search_space import SearchSpace, parse_space

SPACE = """name: mini
num_classes: 10
resolution: [16, 24]
stages:
  - width: [8, 16]
    depth: [1, 2]
    blocks: {basic: {}, conv: {kernel: [3, 5], expansion: [2]}}
  - width: [32]
    depth: [2]
    blocks:
      ssd: {expansion: [1], heads: [4], state: [8, 16], kernel: [3], directions: [[h], [h, v]], mode: [sum, group]}
"""
PRESETS = """presets:
  first:
    source: "a paper"
    resolution: 16
    stages:
      - {width: 8, blocks: [{basic: {}}, {conv: {kernel: 5}}]}
      - {width: 32, depth: 2, block: &scan {ssd: {state: 8, directions: [h, v], mode: group}}}
  second:
    source: "another paper"
    resolution: 24
    stages:
      - {width: 16, depth: 1, block: {conv: {kernel: 3, expansion: 2}}}
      - {width: 32, blocks: [*scan, {ssd: {state: 16, directions: [h]}}]}
"""


def test_presets_are_read_as_architectures_of_the_space():
    space = parse_space(SPACE + PRESETS, "mini.yaml")
    scan = Block.of("ssd", expansion=1, heads=4, state=8, kernel=3, directions=("h", "v"), mode="group")
    assert space.presets["first"].architecture == Architecture(
        16, (Stage(8, (Block.of("basic"), Block.of("conv", kernel=5, expansion=2))), Stage(32, (scan, scan)))
    )
    assert [preset.source for preset in space.presets.values()] == ["a paper", "another paper"]
    assert all(preset.architecture in space for preset in space.presets.values())


def test_presets_survive_the_definition_and_are_no_part_of_the_hash():
    space = parse_space(SPACE + PRESETS, "mini.yaml")
    again = SearchSpace.from_dict(space.to_dict())
    assert dict(again.presets) == dict(space.presets)
    assert space.with_classes(3).presets == space.presets
    without = parse_space(SPACE, "mini.yaml")
    assert without == space and without.hash == space.hash and not without.presets
    assert "presets" not in space.definition()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "kernel: 5",
            "kernel: 7",
            "line 17: preset 'first', stage 1: kernel of 'conv' 7 is not in the space. It has 3, 5",
        ),
        (
            "resolution: 16",
            "resolution: 32",
            "line 15: preset 'first': resolution 32 is not in the space. It has 16, 24",
        ),
        ("width: 16,", "width: 24,", "line 23: preset 'second', stage 1: width 24 is not"),
        ("{basic: {}}", "{basics: {}}", "line 17: .*no 'basics' there. Did you mean 'basic'"),
        ("{basic: {}}", "{ssd: {}}", "line 17: preset 'first', stage 1: the space has no 'ssd' there"),
        (
            "[h, v], mode",
            "[v, h], mode",
            r"line 18: .*directions of 'ssd' \[v, h\] is not in the space. It has \[h\], \[h, v\]",
        ),
        ("[h]}}", "[h], mode: sum}}", "line 24: .*mode of 'ssd' has no effect"),
        (", mode: group", "", "line 18: 'ssd' of preset 'first', stage 2 lacks 'mode'. The space has sum, group"),
        ("state: 16, ", "", "line 24: .*lacks 'state'. The space has 8, 16"),
        ("kernel: 5", "kernal: 5", "line 17: .*no key 'kernal'. Did you mean 'kernel'"),
        ("depth: 2, block", "depth: 3, block", "line 18: preset 'first', stage 2: depth 3 is not"),
        ("blocks: [{basic: {}}, {conv: {kernel: 5}}]", "blocks: []", "line 17: blocks must be a list"),
        ("depth: 2, block", "block", "line 18: .*needs its blocks. Give blocks"),
        ("[*scan, {ssd: {state: 16, directions: [h]}}]", "[*scan]", "line 24: .*has 1 blocks. The space has depth 2"),
        ('    source: "a paper"\n', "", "line 14: preset 'first' lacks 'source'"),
        ('"a paper"', "[]", "line 14: the source of preset 'first' must be a text"),
        ("  second:", "  first:", "line 19: presets has the key 'first' twice"),
        (
            "{basic: {}}",
            "{basic: {}, conv: {kernel: 3}}",
            "line 17: a block of preset 'first', stage 1 must name one kind",
        ),
    ],
)
def test_a_preset_that_is_not_in_its_space_names_the_line_and_the_choice(old, new, said):
    assert old in PRESETS
    with pytest.raises(NasError, match=f"mini.yaml, {said}"):
        parse_space(SPACE + PRESETS.replace(old, new, 1), "mini.yaml")


def test_a_preset_of_another_number_of_stages_is_refused():
    short = PRESETS.split("  second:")[0].rsplit("      -", 1)[0]
    with pytest.raises(NasError, match="line 17: preset 'first' has 1 stages, the space 2"):
        parse_space(SPACE + short, "mini.yaml")
