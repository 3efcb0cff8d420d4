from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import NasError
from nas.hardware.measurement.correction import Correction
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.price_list import coded_blocks
from nas.hardware.table.table_file import Row
from nas.shipped import SHIPPED_SPACES
from nas.space.search_space import SearchSpace

SPACES = sorted(path.stem for path in SHIPPED_SPACES.glob("*.yaml"))
ORACLE = settings(deadline=None, max_examples=15)


@cache
def random_table(name: str) -> LatencyTable:
    """A table of random times for every operator of a shipped space, with every term of a correction."""
    space, rng = SearchSpace.load(name), np.random.default_rng(0)
    rows = {operator.key: row_of(float(rng.uniform(1e-3, 3.0))) for operator in space.operators()}
    header = TableHeader(
        provenance="measured",
        device="cpu",
        device_kind="cpu",
        fingerprint={},
        backend="eager",
        dtype="fp32",
        batch=1,
        threads=1,
        space=space.name,
        space_hash=space.hash,
        space_definition=space.definition(),
        num_classes=space.num_classes,
        null_ms=0.1,
        correction=Correction("blocks", 0.37, 0.91, 0.013, 10),
        sigma_sys=0.1,
        validation={},
    )
    return LatencyTable(header, rows)


def row_of(ms: float) -> Row:
    return Row(ms, ms, ms, 1, 1, 0.0, 1, "measured", 0.0)


@pytest.mark.parametrize("name", SPACES)
@ORACLE
@given(seed=st.integers(0, 2**32 - 1))
def test_many_genomes_are_priced_to_the_last_bit_as_one_by_one(name: str, seed: int) -> None:
    table = random_table(name)
    genomes = np.random.default_rng(seed).integers(0, table.space.cardinalities, (8, len(table.space.cardinalities)))
    assert table.predict_many(genomes).tolist() == [table.predict(table.space.decode(each)).ms for each in genomes]


@pytest.mark.parametrize("name", SPACES)
def test_ends_and_presets_are_priced_as_one_by_one(name: str) -> None:
    table = random_table(name)
    presets = [preset.architecture for preset in SearchSpace.load(name).presets.values()]
    architectures = [table.space.smallest(), table.space.largest(), *presets]
    genomes = np.stack([table.space.encode(each) for each in architectures])
    assert table.predict_many(genomes).tolist() == [table.predict(each).ms for each in architectures]


@pytest.mark.parametrize("name", SPACES)
def test_genes_without_effect_change_no_price(name: str) -> None:
    table, rng = random_table(name), np.random.default_rng(1)
    genomes = rng.integers(0, table.space.cardinalities, (50, len(table.space.cardinalities)))
    canonical = np.where(table.space.active(genomes), genomes, 0)
    assert table.predict_many(genomes).tolist() == table.predict_many(canonical).tolist()


def test_more_genomes_than_are_priced_together_and_any_integer_type_give_the_same() -> None:
    table, rng = random_table("toy"), np.random.default_rng(2)
    genomes = rng.integers(0, table.space.cardinalities, (9001, len(table.space.cardinalities)))
    one_by_one = [table.predict(table.space.decode(each)).ms for each in genomes[-20:]]
    for wanted in (genomes, genomes.astype(np.uint8), genomes.astype(np.uint64), np.asfortranarray(genomes)):
        found = table.predict_many(wanted)
        assert found.shape == (9001,) and found.dtype == np.float64
        assert found[-20:].tolist() == one_by_one
    assert table.predict_many(genomes[:0]).shape == (0,)


@pytest.mark.parametrize("name", SPACES)
def test_the_blocks_of_a_stage_are_those_its_codes_number(name: str) -> None:
    for stage in SearchSpace.load(name).stages:
        assert set(coded_blocks(stage)) == set(stage.blocks)


def test_a_missing_row_is_an_error_only_where_it_is_needed() -> None:
    whole = random_table("toy")
    needed = {operator.key for operator in whole.space.operators_of(whole.space.smallest())}
    gone = max(whole.rows.keys() - needed)
    table = dataclasses.replace(whole, rows={key: row for key, row in whole.rows.items() if key != gone}, _known={})
    smallest = whole.space.encode(whole.space.smallest())[None]
    assert table.predict_many(smallest).tolist() == whole.predict_many(smallest).tolist()
    everything = np.stack([whole.space.encode(each) for each in whole.space.everything()])
    with pytest.raises(NasError, match="has no operator") as caught:
        table.predict_many(everything)
    assert gone in caught.value.message


@pytest.mark.parametrize("value", [-1, 2, 2**40])
def test_a_gene_out_of_range_is_refused_even_without_effect(value: int) -> None:
    table = random_table("toy")
    genomes = np.zeros((3, len(table.space.cardinalities)), dtype=np.int64)
    genomes[1, -1] = value
    with pytest.raises(NasError, match="genome 1 is out of range"):
        table.predict_many(genomes)


@pytest.mark.parametrize("genomes", [np.zeros(5, dtype=int), np.zeros((2, 3), dtype=int), np.zeros((2, 40))])
def test_what_are_no_genomes_is_refused(genomes: np.ndarray) -> None:
    with pytest.raises(NasError, match="not genomes of"):
        random_table("toy").predict_many(genomes)
