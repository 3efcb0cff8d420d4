import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.hardware.measurement.correction import Correction
from nas.hardware.table.fastest import fastest_architecture
from nas.hardware.table.header import TableHeader
from nas.hardware.table.latency_table import LatencyTable
from nas.hardware.table.table_file import Row
from nas.space.search_space import SearchSpace

TOY = SearchSpace.load("toy")
ALL_TOY = list(TOY.everything())


FIXED: dict = {"provenance": "measured", "device_kind": "cpu", "fingerprint": {}, "backend": "eager", "dtype": "fp32"}
FIXED |= {"batch": 1, "threads": 1, "space_hash": "", "validation": {}}


def made_up_table(space, rng, a, b, c):
    """A table held in memory whose operators take random times, some of them a hundred times longer than others."""
    rows = {}
    for operator in space.operators():
        ms = 10 ** rng.uniform(-3, -1)
        rows[operator.key] = Row(ms, ms, ms, 20, 3, 0.01, 1, "measured", 0.01)
    header = {
        "device": "cpu",
        "space": space.name,
        "space_definition": space.to_dict(),
        "num_classes": space.num_classes,
        "null_ms": 0.001,
        "sigma_sys": 0.05,
        "correction": Correction("affine", a, b, c, 10),
    }
    return LatencyTable(TableHeader(**FIXED, **header), rows)


@given(
    seed=st.integers(0, 2**32 - 1),
    a=st.floats(0, 0.1),
    b=st.floats(0.5, 2),
    c=st.sampled_from([0.0, 0.01, -0.002, -0.05]),
)
def test_the_fastest_architecture_is_that_of_brute_force(seed, a, b, c):
    table = made_up_table(TOY, np.random.default_rng(seed), a, b, c)
    least = min(table.predict(each).ms for each in ALL_TOY)
    found = fastest_architecture(table, TOY)
    assert found in TOY
    assert table.predict(found).ms == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_fastest_architecture_with_bits_is_that_of_brute_force(seed, toy_bits):
    table = made_up_table(toy_bits, np.random.default_rng(seed), 0.01, 1.1, 0.002)
    least = min(table.predict(each).ms for each in toy_bits.everything())
    assert table.predict(fastest_architecture(table, toy_bits)).ms == pytest.approx(least, rel=1e-12)


def test_no_sample_of_a_large_space_is_faster():
    space, rng = SearchSpace.load("scan-mix-tiny"), np.random.default_rng(0)
    table = made_up_table(space, rng, 0.0, 1.1, 0.0)
    found = fastest_architecture(table, space)
    assert found in space
    least = table.predict(found).ms
    assert all(least <= table.predict(space.sample(rng)).ms for _ in range(300))
    assert all(least <= table.predict(each).ms for each in space.neighbours(found))
