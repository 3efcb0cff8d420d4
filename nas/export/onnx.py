"""Networks as ONNX files: traced for a fixed batch, or for any; integer values where a network quantises."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch
from torch import nn

from nas.export.any_batch import BATCHES, join_batches
from nas.export.compact import DOMAIN, compacted, folded
from nas.export.qdq import write_qdq
from nas.nn.subnet import quantized_widths

Shape = tuple[int, ...]
INPUT, OUTPUT = "images", "logits"
OPSET = 17
LAST_LEGACY_OPSET = 20  # which 4-bit weights need: they end in opset 21


def export_onnx(module: nn.Module, shape: Shape, **written: Any) -> bytes:
    """Export `module` for inputs of `shape` (batch first, fixed) as ONNX with input `images` and output `logits`.

    Where it quantises, the file holds integer values and Q/DQ pairs. `written` are options of
    `nas.export.qdq.write_qdq`.
    """
    return compacted(write_qdq(trace_onnx(module, shape), **written))


def export_any_batch(module: nn.Module, image: tuple[int, ...], **written: Any) -> bytes:
    """Export `module` for any number of images of shape `image`, otherwise as `export_onnx` does."""
    first, second = (trace_onnx(module, (batch, *image)) for batch in BATCHES)
    return compacted(write_qdq(join_batches(first, second), **written))


def trace_onnx(module: nn.Module, shape: Shape) -> bytes:
    """Trace `module` for inputs of a fixed shape, with markers where it quantises.

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
