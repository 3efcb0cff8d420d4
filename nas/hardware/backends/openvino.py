"""OpenVINO on one thread of the CPU, in float32 or bfloat16, from the same ONNX file as ONNX Runtime."""

from __future__ import annotations

import io
from typing import Any

from torch import nn

from nas.export.onnx import export_onnx
from nas.hardware.backends.session import Call, Setting, Shape, fixed_input

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


def compiled(model: bytes, dtype: str) -> Any:
    """Compile an ONNX file for one stream of one thread; its precision is forced, as the default may be bfloat16.

    What the file says is on integer values stays on integer values.
    """
    import openvino as ov

    core = ov.Core()
    options = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": "1",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
    }
    return core.compile_model(core.read_model(io.BytesIO(model)), "CPU", options)


def openvino_call(module: nn.Module, shape: Shape, setting: Setting) -> Call:
    """Export and compile `module`; the callable runs it once on fixed memory."""
    import openvino as ov

    request = compiled(export_onnx(module, shape), setting.dtype).create_infer_request()
    request.set_input_tensor(ov.Tensor(fixed_input(shape)))
    return request.infer
