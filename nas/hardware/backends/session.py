"""A call: a module made ready to run once on a device, in a setting, on an input that never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

Shape = tuple[int, ...]
Call = Callable[[], object]
# The arithmetic behind a dtype's name. `tf32` is float32 whose products are rounded to 10 bits: tensors stay float32.
TORCH_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and in which arithmetic a module runs: the kind of device (`cpu` or `cuda`) and the dtype."""

    kind: str = "cpu"
    dtype: str = "fp32"


Prepare = Callable[[nn.Module, Shape, Setting], Call]


def fixed_input(shape: Shape) -> np.ndarray:
    """Float32 normal noise that is the same at every call; never denormal, whose arithmetic is slow."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@contextmanager
def arithmetic(setting: Setting, threads: int = 1) -> Iterator[None]:
    """Let PyTorch compute on `threads` threads, and in TF32 for the dtype `tf32` only; restore what was set before."""
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = setting.dtype == "tf32"
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before[1:]
