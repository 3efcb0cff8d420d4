"""Bits of whole networks, and that no algorithm can ever emit bits that a device's table lacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.search.algorithms import ALGORITHMS
from nas.search.loop import search as run_search
from nas.search.problem import Objective
from nas.search.variation import cross, mutate
from nas.space.architecture import Architecture
from nas.space.availability import available
from nas.space.bits import uniform
from nas.space.cost import architecture_cost
from nas.space.operator import TRANSITIONS, operators
from nas.space.search_space import SearchSpace, parse_space, transitions, widths_of

SMALL = """
name: small
num_classes: 10
resolution: [12, 16]
head_bits: [fp, 8]
stages:
  - width: [8, 16]
    depth: [1, 2]
    bits: [8, fp]
    entry_bits: [fp, 8]
    blocks: {basic: {}, conv: {kernel: [3], expansion: [1, 2]}}
  - width: [16]
    depth: [1, 2]
    bits: {conv: [fp, 8, 4]}
    entry_bits: [fp, 4]
    blocks: {conv: {kernel: [3, 5], expansion: [2]}, gated-conv: {kernel: [3], expansion: [1]}}
"""
SPACE = parse_space(SMALL, "small.yaml")
ROWS = {op.key for op in SPACE.operators()}
CODED = sorted({op.key for op in SPACE.operators() if op.bits != "fp" or op.kind in TRANSITIONS})
LACKING = {  # what a device may lack: a test on the key
    "a kind": lambda op: op.kind == "basic" and op.bits == 8,
    "four bits": lambda op: op.bits == 4,
    "one shape of one kind": lambda op: (op.kind, op.in_channels, op.grid, op.bits) == ("conv", 16, 8, 8),
    "stem and head": lambda op: op.kind in ("stem", "head") and op.bits != "fp",
    "all integers": lambda op: op.bits != "fp" or op.kind in TRANSITIONS,
    "the way into codes": lambda op: op.kind == "quantize",
}


def table_without(lack):
    return {op.key for op in SPACE.operators() if not LACKING[lack](op)}


def priceable(architecture, rows):
    return all(op.key in rows for op in operators(architecture, 10))


@pytest.mark.parametrize("lack", LACKING)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_algorithm_emits_bits_that_the_table_lacks(lack, algorithm):
    rows = table_without(lack)
    assert all(priceable(each, rows) for each in priced_by(algorithm, rows, seed=0))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=6)
@given(lacking=st.sets(st.sampled_from(CODED), min_size=1, max_size=3), seed=st.integers(0, 10**6))
def test_no_algorithm_emits_bits_that_any_few_rows_lack(algorithm, lacking, seed):
    rows = ROWS - lacking
    assert all(priceable(each, rows) for each in priced_by(algorithm, rows, seed))


def priced_by(algorithm, rows, seed):
    """Search what a table with these rows leaves of the space; list every architecture that is priced on the way."""
    part = available(SPACE, lambda op: op.key in rows)
    seen = []

    def price(found):
        seen.extend(found)
        return [sum(len(op.key) for op in operators(each, 10)) for each in found]

    objectives = [
        Objective("accuracy", "max", lambda found: [len(each.to_json()) % 17 for each in found], expensive=True),
        Objective("latency_ms", "min", price),
    ]
    run_search(part, objectives=objectives, constraints=[], algorithm=algorithm, budget=12, seed=seed)
    assert len(seen) >= 12
    return seen


@pytest.mark.parametrize("lack", LACKING)
@given(seed=st.integers(0, 10**6))
def test_no_draw_mutation_or_crossover_emits_bits_that_the_table_lacks(lack, seed):
    rows, rng = table_without(lack), np.random.default_rng(seed)
    part = available(SPACE, lambda op: op.key in rows)
    genomes = np.stack([part.encode(part.sample(rng)) for _ in range(4)])
    active = part.active(genomes)
    children = [mutate(part, genomes, rng, 5), cross(genomes, genomes[::-1], active, active[::-1], rng)]
    for genome in np.concatenate([genomes, *children]):
        assert priceable(part.decode(genome), rows)
    for other in part.neighbours(part.decode(genomes[0])):
        assert priceable(other, rows)


def test_a_table_without_holes_leaves_the_space_as_it_is():
    assert available(SPACE, lambda op: True) is SPACE


@pytest.mark.parametrize("lack", LACKING)
def test_what_is_left_is_the_largest_such_space_in_whole_kinds(lack):
    rows = table_without(lack)
    part = available(SPACE, lambda op: op.key in rows)
    assert part.size < SPACE.size
    assert uniform(SPACE, SPACE.largest(), "fp") in part
    if lack == "four bits":
        assert widths_of(part) == (8,)
    if lack in ("all integers", "the way into codes"):
        assert widths_of(part) == ()
    assert SearchSpace.from_dict(part.to_dict()) == part
    assert SearchSpace.from_dict(part.to_dict()).hash == part.hash


@given(seed=st.integers(0, 10**6))
def test_every_architecture_with_bits_survives_its_genome_and_its_json(seed):
    architecture = SPACE.sample(np.random.default_rng(seed))
    assert SPACE.decode(SPACE.encode(architecture)) == architecture
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert priceable(architecture, ROWS)


@given(seed=st.integers(0, 10**6))
def test_codes_begin_and_end_where_bits_change_and_nowhere_else(seed):
    placed = operators(SPACE.sample(np.random.default_rng(seed)), 10)
    coded = False
    for op in placed:
        if op.kind == "quantize":
            assert not coded
            coded = True
        elif op.kind == "dequantize":
            assert coded
            coded = False
        else:
            assert coded == (op.bits != "fp")
            coded = op.bits != "fp"


def test_the_number_of_architectures_is_right():
    tiny = parse_space(
        "{name: t, num_classes: 2, resolution: [8], head_bits: [fp, 8], stages: [{width: [8], depth: [1, 2], "
        "bits: [fp, 8], entry_bits: [fp, 8], blocks: {basic: {}}}]}",
        "t",
    )
    every = list(tiny.everything())
    assert len(every) == len(set(every)) == tiny.size == 2 * 2 * (2 + 4)


def test_uniform_bits_take_the_nearest_above_that_there_is():
    largest = uniform(SPACE, SPACE.largest(), 4)
    assert [stage.entry_bits for stage in largest.stages] == [8, 4]
    assert {block.bits for block in largest.stages[0].blocks} == {8}
    assert largest.head_bits == 8
    assert uniform(SPACE, largest, "fp") == SPACE.largest()


def test_fewer_bits_are_smaller_and_fewer_operations():
    costs = [architecture_cost(uniform(SPACE, SPACE.largest(), bits), 10) for bits in ("fp", 8, 4)]
    assert costs[0].size_bytes > 2 * costs[1].size_bytes > 2 * costs[2].size_bytes
    assert costs[0].bitops > 4 * costs[1].bitops > 4 * costs[2].bitops
    assert len({cost.macs for cost in costs}) == 1


def test_presets_come_in_uniform_bits_once():
    space = SearchSpace.load("scan-mix-tiny-int8")
    names = set(space.presets)
    assert {"resnet", "resnet-8", "resnet-4"} <= names
    assert {each for each in names if each.count("-") > 1} == set()
    assert set(SearchSpace.from_dict(space.to_dict()).presets) == names
    assert {block.bits for stage in space.presets["resnet-4"].architecture.stages for block in stage.blocks} == {4}


def test_a_space_of_floats_has_no_transitions():
    assert transitions(SearchSpace.load("toy")) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bits: [8, fp]", "bits: [8]", "line 9: bits lacks fp"),
        ("bits: [8, fp]", "bits: [fp, 2]", "line 9: bits 2 must be one of fp, 8, 4"),
        ("entry_bits: [fp, 8]", "entry_bits: [fp, 4]", "line 10: entry_bits 4 must be one of fp, 8"),
        ("head_bits: [fp, 8]", "head_bits: [fp, 4]", "line 5: head_bits 4 must be one of fp, 8"),
        ("{conv: [fp, 8, 4]}", "{basic: [fp, 8]}", "line 14: bits has no key 'basic'"),
    ],
)
def test_a_wrong_choice_of_bits_names_its_line(old, new, said):
    from nas.errors import NasError

    with pytest.raises(NasError, match=said):
        parse_space(SMALL.replace(old, new, 1), "small.yaml")
