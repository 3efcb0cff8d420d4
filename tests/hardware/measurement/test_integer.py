"""Integer rows: only from verified graphs, with what stands between floats and codes; none without kernels."""

from dataclasses import replace

import numpy as np
import pytest

import nas.hardware.measurement.integer as integer
from nas.errors import NasError
from nas.hardware.device import this_machine
from nas.hardware.measurement.integer import difference, integer_targets, is_integer, measurable, status_of
from nas.hardware.measurement.plan import Plan
from nas.hardware.measurement.profile import profile
from nas.nn.subnet import build_operator
from nas.space.operator import Operator
from nas.space.search_space import SearchSpace, widths_of

PLAN = Plan(dtype="int8", networks=5, n_fit=3, rounds=2, samples=4)


def test_every_integer_operator_is_verified_measured_and_priced(toy_bits, tmp_path):
    table = profile(toy_bits, this_machine(), PLAN, tmp_path / "a")
    assert set(table.rows) == {op.key for op in toy_bits.operators()}
    assert table.searchable(toy_bits) == toy_bits
    found = table.header.evidence["integer"]
    assert found["status"] == {"measured": sum(map(is_integer, toy_bits.operators()))}
    assert found["not_measured"] == []
    assert set(found["speedup_of_8_bits"]) == {"stem", "basic", "downsample", "conv", "ssd", "head"}
    rng = np.random.default_rng(0)
    for architecture in (toy_bits.sample(rng) for _ in range(20)):
        genome = toy_bits.encode(architecture)
        assert table.predict_many(genome[None])[0] == table.predict(architecture).ms
    assert (tmp_path / "a.csv").read_text().count("bits=4") == sum(op.bits == 4 for op in toy_bits.operators())


def test_four_bits_have_the_milliseconds_of_the_kernels_they_run_on(toy_bits, tmp_path):
    table = profile(toy_bits, this_machine(), replace(PLAN, networks=0, n_fit=0), tmp_path / "a")
    for op in toy_bits.operators():
        if op.bits == 4:
            assert table.rows[op.key].ms == table.rows[replace(op, bits=8).key].ms


def test_a_float_table_of_a_space_with_bits_leaves_only_float_networks(toy_bits, tmp_path):
    table = profile(toy_bits, this_machine(), replace(PLAN, dtype="fp32"), tmp_path / "a")
    assert not [key for key in table.rows if "bits=fp" not in key or "quantize" in key]
    part = table.searchable(toy_bits)
    assert widths_of(part) == ()
    assert table.over(part).predict_many(part.encode(part.largest())[None]) == table.predict(part.largest()).ms


def test_what_does_not_run_on_codes_gets_no_row_and_is_no_choice(toy_bits, tmp_path, monkeypatch):
    monkeypatch.setattr(integer, "status_of", lambda op: "emulated" if (op.kind, op.bits) == ("ssd", 8) else "measured")
    table = profile(toy_bits, this_machine(), replace(PLAN, networks=0, n_fit=0), tmp_path / "a")
    assert not [key for key in table.rows if key.startswith("ssd") and key.endswith("bits=8")]
    assert table.searchable(toy_bits).stages[1].bits_of("ssd") == ("fp", 4)
    assert (
        table.header.evidence["integer"]["status"]["emulated"]
        == len(table.header.evidence["integer"]["not_measured"])
        > 0
    )


def test_a_graph_that_computes_in_float_is_emulated(monkeypatch):
    monkeypatch.setattr(integer, "promised_kernels", lambda operators: {"conv": 99})
    assert status_of(Operator("basic", 8, 8, 4, (), 8)) == "emulated"


def test_a_graph_that_cannot_be_made_is_unsupported(monkeypatch):
    def refuse(module, shape):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(integer, "export_onnx", refuse)
    assert status_of(Operator("basic", 8, 8, 4, (), 8)) == "unsupported"


def test_a_graph_that_the_runtime_cannot_load_is_unsupported(monkeypatch):
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("NoSuchOperator", ["x"], ["y"])], "graph", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    monkeypatch.setattr(integer, "export_onnx", lambda module, shape: model)
    assert status_of(Operator("basic", 8, 8, 4, (), 8)) == "unsupported"


def test_int8_of_a_space_of_floats_is_refused_with_the_remedy():
    with pytest.raises(NasError, match="no integer bit-widths") as caught:
        measurable(SearchSpace.load("toy"), "int8")
    assert "fp32" in caught.value.hint


def test_shares_of_the_ways_in_and_out_add_up_to_whole_measurements():
    into, out = (difference(Operator(kind, 8, 8, 4, (), "fp"), "null") for kind in ("quantize", "dequantize"))
    total = {}
    for share, name in (*into.less, *out.less):
        total[name] = total.get(name, 0.0) + share
    assert total == {"float frame 8 4": 1.0, "coded frame 8 4": 1.0}


def test_targets_hold_all_that_rows_need(toy_bits):
    chosen = [op for op in toy_bits.operators() if is_integer(op)]
    names = integer_targets(chosen, 1, build_operator)
    for op in chosen:
        needed = difference(op, "null")
        assert {needed.seen, *(name for _, name in needed.less)} <= {*names, "null"}
