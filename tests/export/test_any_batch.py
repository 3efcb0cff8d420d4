import numpy as np
import onnx
import pytest
import torch

from nas.export.any_batch import join_batches
from nas.export.onnx import export_any_batch, export_onnx, trace_onnx
from nas.nn.subnet import build_operator, fold_norms
from nas.space.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_serves_every_batch_as_files_of_fixed_batches_do(kind, operator_of, run_onnx):
    torch.manual_seed(0)
    op = operator_of(kind, 32, 8)
    module = fold_norms(build_operator(op).eval())
    found = export_any_batch(module, (32, 8, 8))
    for batch in (1, 3):
        images = np.random.default_rng(batch).standard_normal((batch, 32, 8, 8)).astype(np.float32)
        fixed = run_onnx(export_onnx(module, images.shape), images, optimised=False)
        assert np.array_equal(run_onnx(found, images, optimised=False), fixed)


@pytest.mark.parametrize("kind", ["conv", "ssd", "attention"])
def test_integer_files_serve_every_batch(kind, quantized_operator, trained, run_onnx):
    module, images = trained(quantized_operator(kind, 8))
    images = images.repeat(3, 0)
    fixed = run_onnx(export_onnx(module, images.shape), images, optimised=False)
    assert np.array_equal(run_onnx(export_any_batch(module, images.shape[1:]), images, optimised=False), fixed)


def test_shapes_cost_nothing_where_minus_one_serves(operator_of):
    module = fold_norms(build_operator(operator_of("gated-conv", 32, 8)).eval())
    kinds = [node.op_type for node in onnx.load_from_string(export_any_batch(module, (32, 8, 8))).graph.node]
    assert "Reshape" in kinds and "Shape" not in kinds


def test_files_of_different_networks_are_not_joined(operator_of):
    one, other = (
        trace_onnx(fold_norms(build_operator(operator_of(kind, 16, 8)).eval()), (batch, 16, 8, 8))
        for kind, batch in (("conv", 17), ("basic", 19))
    )
    with pytest.raises((AssertionError, ValueError)):
        join_batches(one, other)
