"""Which kernels a runtime really runs: a graph full of Q/DQ pairs may still compute in float, slower than without."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from nas.space.operator import Operator

# What ONNX Runtime's kernels on codes are called -> what they compute.
INTEGER_KERNELS = {
    "QLinearConv": "conv",
    "QGemm": "linear",
    "QLinearMatMul": "linear",
    "QLinearAdd": "add",
}

# Kind -> what of each block has to run on codes.
PROMISED: Mapping[str, Mapping[str, int]] = {
    "stem": {"conv": 1},
    "double-stem": {"conv": 2},
    "patch-stem": {"conv": 1},
    "downsample": {"conv": 1},
    "widen": {"conv": 1},
    "head": {"linear": 1},
    "quantize": {},
    "dequantize": {},
    "basic": {"conv": 2, "add": 1},
    "conv": {"conv": 3, "add": 1},
    "large-kernel": {"conv": 5, "add": 1},
    "pool": {"conv": 2, "add": 2},
    "gated-conv": {"linear": 3, "conv": 1, "add": 1},
    "ssd": {"linear": 6, "conv": 1, "add": 1},
    "nc-ssd": {"linear": 6, "conv": 1, "add": 1},
    "multiscale": {"linear": 6, "conv": 2, "add": 1},
    "state-fusion": {"linear": 6, "conv": 1, "add": 1},
    "hsm": {"linear": 1, "conv": 1, "add": 1},
    "attention": {"linear": 6, "add": 2},
}


def promised_kernels(operators: Iterable[Operator]) -> Counter[str]:
    """Count what of some operators has to run on codes, by what it computes."""
    total: Counter[str] = Counter()
    for operator in operators:
        if operator.bits != "fp":
            total.update(PROMISED[operator.kind])
    return total


def integer_kernels(model: bytes) -> Counter[str]:
    """Count what ONNX Runtime computes on codes in its optimised graph of `model`."""
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
    return Counter(INTEGER_KERNELS[name] for name in names if name in INTEGER_KERNELS)
