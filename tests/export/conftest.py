"""Quantised operators with calibrated steps, and ways to run their exported files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nas.nn.subnet import build_operator, fold_norms, initialised
from nas.space.kinds import KINDS
from nas.space.operator import Operator

ENDS = ("stem", "double-stem", "patch-stem", "downsample", "widen", "head")
ALL_KINDS = (*ENDS, *KINDS)


@pytest.fixture
def quantized_operator(operator_of: Callable[..., Operator]) -> Callable[..., Operator]:
    """Make an operator of any kind with bits; blocks have 32 channels on an 8 x 8 grid."""

    def make(kind: str, bits: int) -> Operator:
        if kind not in ENDS:
            directions = {"directions": ("h",)} if kind == "state-fusion" else {}
            return Operator(kind, 32, 32, 8, operator_of(kind, 32, 8, **directions).settings, bits)
        settings = (("patch", 4),) if kind == "patch-stem" else ()
        return Operator(kind, 3 if "stem" in kind else 16, 10 if kind == "head" else 32, 16, settings, bits)

    return make


@pytest.fixture
def trained() -> Callable[..., tuple[nn.Module, np.ndarray]]:
    """Build an operator behind a quantised input, with norms and steps of some images; give it folded, and an input."""

    def make(op: Operator, seed: int = 0) -> tuple[nn.Module, np.ndarray]:
        torch.manual_seed(seed)
        quantize = Operator("quantize", op.in_channels, op.in_channels, op.grid, (), op.bits)
        module = nn.Sequential(build_operator(quantize), build_operator(op)).train()
        images = torch.randn(4, op.in_channels, op.grid, op.grid)
        with torch.no_grad(), initialised(module):
            for _ in range(20):  # running statistics
                module(images)
        return fold_norms(module.eval()), images[:1].numpy()

    return make


@pytest.fixture
def run_onnx() -> Callable[..., np.ndarray]:
    """Run a file in ONNX Runtime, with all its optimisations or with none."""
    import onnxruntime as ort

    def run(model: bytes, images: np.ndarray, optimised: bool, **entries: str) -> np.ndarray:
        options: Any = ort.SessionOptions()
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
        options.log_severity_level = 3
        for name, value in entries.items():
            options.add_session_config_entry(name.replace("__", "."), value)
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found = session.run(None, {session.get_inputs()[0].name: images})[0]
        assert isinstance(found, np.ndarray)
        return found

    return run
