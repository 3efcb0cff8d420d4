from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from nas.hardware.backends import (
    BACKENDS,
    INPUT,
    OUTPUT,
    backend_version,
    export_onnx,
    fixed_input,
    one_thread,
    one_thread_options,
)

SHAPE = (1, 3, 8, 8)


class Counting(nn.Module):
    """Counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.calls: list[tuple[bool, bool, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append((self.training, torch.is_grad_enabled(), torch.get_num_threads()))
        return self.conv(x)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_makes_a_callable_that_can_run_again_and_again(name: str) -> None:
    with one_thread():
        call = BACKENDS[name](nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), SHAPE)
        for _ in range(3):
            call()


@pytest.mark.parametrize("name", BACKENDS)
def test_the_version_of_every_backend_is_known(name: str) -> None:
    assert backend_version(name)[0].isdigit()


def test_sessions_use_one_thread_that_does_not_spin() -> None:
    options = one_thread_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL


def test_the_exported_model_computes_what_the_module_does_under_the_promised_names() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 5))
    model = export_onnx(module, SHAPE)
    onnx.checker.check_model(onnx.load_model_from_string(model))
    images = fixed_input(SHAPE)
    (logits,) = ort.InferenceSession(model).run([OUTPUT], {INPUT: images})
    with torch.no_grad():
        np.testing.assert_allclose(logits, module.eval()(torch.from_numpy(images)).numpy(), atol=1e-5)


def test_eager_runs_in_eval_mode_without_gradients_on_one_thread() -> None:
    module = Counting()
    with one_thread():
        BACKENDS["eager"](module, SHAPE)()
    assert module.calls == [(False, False, 1)]


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt), one_thread():
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before
