"""A small file computes what the large one did."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from nas.export.compact import compacted, folded
from nas.export.masks import steps_of
from nas.nn.subnet import build_operator, fold_norms
from nas.space.kinds import KINDS
from nas.space.scan import scan_names, scan_rank, scan_starts


def traced(module, shape):
    """What torch exports, as it is."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.zeros(shape),), buffer, dynamo=False, opset_version=17)
    return buffer.getvalue()


@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "optimised"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_compacted_file_computes_the_same_numbers_and_is_smaller(kind, optimised, operator_of, run_onnx):
    torch.manual_seed(0)
    large = traced(fold_norms(build_operator(operator_of(kind, 32, 8))), (1, 32, 8, 8))
    small = compacted(folded(large))
    images = np.random.default_rng(0).standard_normal((1, 32, 8, 8), np.float32)
    np.testing.assert_array_equal(*(run_onnx(each, images, optimised=optimised) for each in (large, small)))
    assert len(small) < len(large)


def test_what_is_compact_already_stays_as_it_is(operator_of):
    once = compacted(folded(traced(build_operator(operator_of("ssd", 32, 8)), (1, 32, 8, 8))))
    assert len(compacted(folded(once))) == len(once)


def test_equal_tensors_are_stored_once_and_indices_in_32_bits():
    class Gathers(torch.nn.Module):
        def forward(self, x):
            return x[:, torch.tensor([2, 0, 1])] + x[:, torch.tensor([2, 0, 1])].neg()

    (indices,) = onnx.load_from_string(compacted(folded(traced(Gathers(), (1, 3))))).graph.initializer
    assert (indices.data_type, list(numpy_helper.to_array(indices))) == (TensorProto.INT32, [2, 0, 1])


@pytest.mark.parametrize("scan", scan_names())
def test_the_mask_of_every_scan_comes_back_from_its_steps(scan):
    rank, starts = scan_rank(scan, 4, 6), scan_starts(scan, 4, 6)
    own = np.searchsorted(starts, rank, side="right")
    mask = np.where((rank[:, None] >= rank) & (own[:, None] == own), 0, -np.inf).astype(np.float32)
    step, segment = steps_of(mask)
    segment = np.zeros_like(step) if segment is None else segment
    np.testing.assert_array_equal(np.where((step[:, None] >= step) & (segment[:, None] == segment), 0, -np.inf), mask)
    assert (step.nbytes, step.dtype) == (4 * 24, np.int32)


def test_a_table_that_is_no_mask_of_steps_is_left_alone():
    mask = np.zeros((4, 4), np.float32)
    mask[0, 1] = mask[1, 0] = -np.inf  # two tokens that see not each other, and all others
    for other in (mask, np.zeros((3, 4), np.float32), np.ones((4, 4), np.float32), np.eye(4)):
        assert steps_of(other) is None
