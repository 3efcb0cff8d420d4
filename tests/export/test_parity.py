import numpy as np
import pytest

from nas.errors import NasError
from nas.export.parity import compare_logits, run_fresh

LOGITS = np.random.default_rng(0).standard_normal((400, 10)).astype(np.float32)


def test_equal_logits_pass():
    parity = compare_logits(LOGITS, LOGITS.copy(), "fp32")
    assert parity.passed and parity.samples == 400
    assert (parity.max_relative_difference, parity.top1_agreement) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("dtype", "difference", "passes"),
    [("fp32", 2e-4, False), ("fp32", 5e-5, True), ("fp16", 5e-3, True), ("fp16", 2e-2, False), ("int8", 2e-2, True)],
)
def test_the_limit_is_that_of_the_dtype(dtype, difference, passes):
    found = LOGITS.copy()
    found[0, LOGITS[0].argmin()] -= difference * np.abs(LOGITS).max()  # leaves every class as it is
    assert compare_logits(LOGITS, found, dtype).passed is passes


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_other_classes_fail(dtype):
    found = LOGITS.copy()
    found[:3] = -found[:3]  # 0.75 % of the images
    assert not compare_logits(LOGITS, found, dtype).passed


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_a_logit_that_is_no_number_fails(dtype):
    found = LOGITS.copy()
    found[5:8] = np.nan
    assert not compare_logits(LOGITS, found, dtype).passed


def test_a_file_that_does_not_run_is_an_error_with_the_reason(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(NasError, match="does not run in a fresh process"):
        run_fresh("onnx", tmp_path / "model.onnx", LOGITS[:1].reshape(1, 1, 1, 10))
