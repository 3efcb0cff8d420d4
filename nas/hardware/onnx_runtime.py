"""ONNX Runtime on one thread of the CPU: export a module, open a session, run it on fixed memory."""

from __future__ import annotations

import io
import platform
import warnings
from typing import Any

import torch
from torch import nn

from nas.export.any_batch import BATCHES, join_batches
from nas.export.compact import DOMAIN, compacted, folded
from nas.export.qdq import write_qdq
from nas.hardware.call import Call, Setting, Shape, fixed_input
from nas.hardware.device import CPUINFO, has_vnni
from nas.supernet.subnet import quantized_widths

INPUT, OUTPUT = "images", "logits"
OPSET = 17
LAST_LEGACY_OPSET = 20  # which 4-bit weights need: they end in opset 21


def export_onnx(module: nn.Module, shape: Shape, **written: Any) -> bytes:
    """Export `module` for inputs of `shape` (batch first, fixed) as ONNX with input `images` and output `logits`.

    Where it quantises, the file holds codes and Q/DQ pairs; `written`: see `nas.export.qdq.write_qdq`.
    """
    return compacted(write_qdq(trace_onnx(module, shape), **written))


def export_any_batch(module: nn.Module, image: tuple[int, ...], **written: Any) -> bytes:
    """Export `module` for any number of images of shape `image`, otherwise as `export_onnx` does."""
    first, second = (trace_onnx(module, (batch, *image)) for batch in BATCHES)
    return compacted(write_qdq(join_batches(first, second), **written))


def trace_onnx(module: nn.Module, shape: Shape) -> bytes:
    """Trace `module` for inputs of a fixed shape; markers stand where it quantises.

    The legacy exporter is used on purpose: 0.03 s per block against seconds.
    """
    buffer, widths = io.BytesIO(), quantized_widths(module)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=r".*legacy TorchScript-based ONNX export.*")
        # While tracing, a shape is made of 0-d tensors: Python and NumPy may use them, the shape is fixed here.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", message=r"__array__ implementation doesn't accept a copy keyword")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx.*")
        torch.onnx.export(
            module.eval(),
            (torch.zeros(shape),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=LAST_LEGACY_OPSET if 4 in widths else OPSET,
            do_constant_folding=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            custom_opsets={DOMAIN: 1} if widths else None,
        )
    return folded(buffer.getvalue())


def one_thread_options() -> object:
    """Session options of the protocol: one thread that never spins, sequential, every graph optimisation."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if needs_precise_kernels(platform.machine(), CPUINFO.read_text() if CPUINFO.exists() else ""):
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return options


def needs_precise_kernels(machine: str, cpuinfo: str) -> bool:
    """Say whether a processor adds pairs of 8-bit products in 16 bits, where they saturate: x86 without VNNI.

    There ONNX Runtime must be told to compute precisely. With VNNI sums are exact as they are, and this would halve the
    speed of integer kernels (measured). `cpuinfo` is the text of `/proc/cpuinfo`.
    """
    return machine in ("x86_64", "AMD64") and not has_vnni(cpuinfo)


def onnxruntime_call(module: nn.Module, shape: Shape, setting: Setting) -> Call:
    """Export `module` and bind its ONNX Runtime session to fixed input and output memory."""
    assert setting in (Setting("cpu", "fp32"), Setting("cpu", "int8")), setting
    return run_onnx(export_onnx(module, shape), shape)


def run_onnx(model: bytes, shape: Shape) -> Call:
    """Open an ONNX Runtime session on `model`; the callable runs it once on fixed memory."""
    import onnxruntime as ort

    session = ort.InferenceSession(model, one_thread_options(), providers=["CPUExecutionProvider"])
    images = ort.OrtValue.ortvalue_from_numpy(fixed_input(shape))
    binding = session.io_binding()
    binding.bind_ortvalue_input(session.get_inputs()[0].name, images)
    binding.bind_output(session.get_outputs()[0].name)
    session.run_with_iobinding(binding)
    logits = binding.get_outputs()[0]  # its shape is known now: bind this very memory
    binding.bind_ortvalue_output(session.get_outputs()[0].name, logits)
    return lambda: session.run_with_iobinding(binding)
