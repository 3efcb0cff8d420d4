"""Which kernels a runtime really runs: a graph full of Q/DQ pairs may still compute in float, slower than without."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nas.errors import NasError
from nas.space.kinds import kind_of
from nas.space.operator import Operator

# What ONNX Runtime's kernels on integer values are called -> what they compute.
INTEGER_KERNELS = {
    "QLinearConv": "conv",
    "QGemm": "linear",
    "QLinearMatMul": "linear",
    "QLinearAdd": "add",
}


def promised_kernels(operators: Iterable[Operator]) -> Counter[str]:
    """Count what of some operators has to run on integer values, by what it computes."""
    total: Counter[str] = Counter()
    for operator in operators:
        if operator.bits != "fp":
            kernels = kind_of(operator.kind).integer_kernels
            if kernels is None:
                raise NasError(
                    f"the kind '{operator.kind}' promises no integer kernels, so it cannot have {operator.bits} bits",
                    f"Use fp, or give KINDS['{operator.kind}'] its integer_kernels",
                )
            total.update(kernels)
    return total


def integer_kernels(model: bytes) -> Counter[str]:
    """Count what ONNX Runtime computes on integer values in its optimised graph of `model`."""
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
