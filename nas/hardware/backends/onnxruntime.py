"""ONNX Runtime on one thread of the CPU: export a module, open a session, run it on fixed memory."""

from __future__ import annotations

import platform

from torch import nn

from nas.export.onnx import export_onnx
from nas.hardware.backends.session import Call, Setting, Shape, fixed_input
from nas.hardware.device import CPUINFO, has_vnni


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
    """Whether a processor adds pairs of 8-bit products in 16 bits, where they saturate: x86 without VNNI.

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
