from __future__ import annotations

import gc
import importlib.util
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from unittest.mock import MagicMock

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from nas.errors import NasError
from nas.export.onnx import INPUT, OUTPUT, export_onnx
from nas.hardware.backends.onnxruntime import one_thread_options
from nas.hardware.backends.registry import BACKENDS, backend_version, check_backend, clock_of, finished_clock
from nas.hardware.backends.session import Setting, arithmetic, fixed_input
from nas.hardware.backends.torch import compile_call, cudagraph_call, eager_call
from nas.hardware.measurement.profile import in_frame
from nas.nn.subnet import build_operator, fold_norms
from nas.space.operator import Operator

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


ON_A_CPU = [(name, dtype) for name, each in BACKENDS.items() for dtype in each.dtypes.get("cpu", ())]
ON_A_GPU = [(name, dtype) for name, each in BACKENDS.items() for dtype in each.dtypes.get("cuda", ())]


def can_run_again_and_again(name: str, setting: Setting) -> None:
    if importlib.util.find_spec(BACKENDS[name].package) is None:
        pytest.skip(f"{name} is not installed")
    with arithmetic(setting):
        call = BACKENDS[name].prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), SHAPE, setting)
        for _ in range(3):
            call()


@pytest.mark.parametrize(("name", "dtype"), ON_A_CPU)
def test_a_backend_makes_a_callable_that_can_run_again_and_again(name: str, dtype: str) -> None:
    can_run_again_and_again(name, Setting("cpu", dtype))


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "dtype"), ON_A_GPU)
def test_a_backend_runs_on_a_gpu(name: str, dtype: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    can_run_again_and_again(name, Setting("cuda", dtype))


def test_what_a_cuda_graph_reads_lives_as_long_as_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph knows addresses only, and the next capture gives freed memory back to the driver."""
    for name in ("Stream", "current_stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, lambda _: nullcontext())
    seen: list[torch.Tensor] = []
    module = nn.Conv2d(3, 4, 3)
    module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    call = cudagraph_call(module, SHAPE, Setting())
    addressed = [weakref.ref(each) for each in (module.weight, seen.pop())]
    seen.clear()
    del module
    gc.collect()
    assert all(each() is not None for each in addressed)
    del call
    gc.collect()
    assert all(each() is None for each in addressed)


def test_compiled_instances_of_one_class_do_not_push_each_other_out() -> None:
    """Torch compiles a piece of code eight times at most, and runs it uncompiled from then on."""
    from torch._dynamo.utils import counters

    counters.clear()
    calls = [compile_call(nn.Sequential(nn.Conv2d(3, 4 + i, 1), nn.ReLU()), SHAPE, Setting()) for i in range(10)]
    compiled = counters["stats"]["unique_graphs"]
    assert compiled == 10
    for call in calls:
        call()
    assert counters["stats"]["unique_graphs"] == compiled


def test_a_compiled_module_computes_what_it_did() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU()).eval()
    found = compile_call(module, SHAPE, Setting())()
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, eager_call(module, SHAPE, Setting())())


@pytest.mark.parametrize("name", BACKENDS)
def test_the_version_of_every_backend_is_known(name: str) -> None:
    if importlib.util.find_spec(BACKENDS[name].package) is None:
        with pytest.raises(NasError, match=f"pip install {name}"):
            backend_version(name)
    else:
        assert backend_version(name)[0].isdigit()


@pytest.mark.parametrize(
    ("name", "setting", "says"),
    [
        ("onnxruntme", Setting(), "Did you mean 'onnxruntime'"),
        ("cudagraph", Setting(), "needs a CUDA device"),
        ("onnxruntime", Setting("cuda", "fp32"), "needs a CPU"),
        ("onnxruntime", Setting("cpu", "bf16"), "Give --dtype fp32 or int8"),
    ],
)
def test_a_backend_that_cannot_run_so_is_refused(name: str, setting: Setting, says: str) -> None:
    with pytest.raises(NasError, match=says):
        check_backend(name, setting)


def test_the_clock_sees_the_threads_that_do_the_work() -> None:
    assert clock_of("onnxruntime", Setting()) is time.thread_time
    assert clock_of("openvino", Setting()) is time.process_time
    assert clock_of("cudagraph", Setting("cuda", "bf16")) is finished_clock


def test_only_tf32_computes_in_tf32() -> None:
    for dtype, expected in (("tf32", True), ("fp32", False), ("bf16", False)):
        with arithmetic(Setting("cuda", dtype)):
            assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is expected


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
    with arithmetic(Setting()):
        eager_call(module, SHAPE, Setting())()
    assert module.calls == [(False, False, 1)]


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt), arithmetic(Setting()):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gated-conv", "ssd", "attention"])
def test_blocks_that_reckon_in_numpy_compile_too(kind: str, operator_of: Callable[..., Operator]) -> None:
    torch.manual_seed(0)
    module = in_frame(16, lambda: fold_norms(build_operator(operator_of(kind, 16, 4)))).eval()
    shape = (1, 16, 4, 4)
    found = compile_call(module, shape, Setting())()
    assert isinstance(found, torch.Tensor)
    torch.testing.assert_close(found, eager_call(module, shape, Setting())(), atol=1e-5, rtol=1e-4)
