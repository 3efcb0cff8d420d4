"""Backends: what can run a module, where, in which dtypes, and which clock sees its work."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from nas.errors import NasError, did_you_mean
from nas.hardware.backends.onnxruntime import onnxruntime_call
from nas.hardware.backends.openvino import openvino_call
from nas.hardware.backends.session import Prepare, Setting
from nas.hardware.backends.torch import compile_call, cudagraph_call, eager_call
from nas.hardware.measurement.protocol import Clock

DEFAULT_BACKENDS = {"cpu": ("onnxruntime", "fp32"), "cuda": ("cudagraph", "bf16")}  # by kind of device


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A way to run modules: how one is prepared, the dtypes it computes in by kind of device, the package behind it.

    `threads_of_its_own` says that work is done by threads other than the calling one.
    """

    prepare: Prepare
    dtypes: Mapping[str, tuple[str, ...]]
    package: str = "torch"
    threads_of_its_own: bool = False


GPU_DTYPES = ("bf16", "fp16", "tf32", "fp32")
BACKENDS: dict[str, Backend] = {
    "onnxruntime": Backend(prepare=onnxruntime_call, dtypes={"cpu": ("fp32", "int8")}, package="onnxruntime"),
    "eager": Backend(prepare=eager_call, dtypes={"cpu": ("fp32", "bf16"), "cuda": GPU_DTYPES}),
    "compile": Backend(prepare=compile_call, dtypes={"cpu": ("fp32", "bf16"), "cuda": GPU_DTYPES}),
    "cudagraph": Backend(prepare=cudagraph_call, dtypes={"cuda": GPU_DTYPES}),
    "openvino": Backend(
        prepare=openvino_call, dtypes={"cpu": ("fp32", "bf16")}, package="openvino", threads_of_its_own=True
    ),
}


def check_backend(name: str, setting: Setting) -> None:
    """Raise `NasError` where a backend does not exist, is not installed, or cannot compute in this setting."""
    if name not in BACKENDS:
        raise NasError(f"there is no backend '{name}'", did_you_mean(name, BACKENDS))
    dtypes = BACKENDS[name].dtypes
    if setting.kind not in dtypes:
        here = [name_ for name_, backend in BACKENDS.items() if setting.kind in backend.dtypes]
        needs = "a CUDA device" if setting.kind == "cpu" else "a CPU"
        raise NasError(f"the backend {name} needs {needs}", f"Here there are: {', '.join(here)}")
    if setting.dtype not in dtypes[setting.kind]:
        raise NasError(
            f"the backend {name} is not measured in {setting.dtype} on a {setting.kind} device",
            f"Give --dtype {' or '.join(dtypes[setting.kind])}",
        )
    backend_version(name)


def backend_version(name: str) -> str:
    """Version of the library behind a backend; `NasError` where it is not installed."""
    package = BACKENDS[name].package
    try:
        return version(package)
    except PackageNotFoundError as error:
        others = [other for other, backend in BACKENDS.items() if backend.package == "torch"]
        remedy = f"pip install {package}, or give another: --backend {' or '.join(others)}"
        raise NasError(f"the backend {name} needs the package {package}, which is not installed", remedy) from error


def clock_of(name: str, setting: Setting) -> Clock:
    """The clock that sees the work of a backend, in seconds.

    On a CPU it is CPU time, of the calling thread or, where others work, of the process: what other programs take does
    not count. On a GPU it is time on the wall, read when all submitted work is done.
    """
    if setting.kind == "cuda":
        return finished_clock
    return time.process_time if BACKENDS[name].threads_of_its_own else time.thread_time


def finished_clock() -> float:
    """Read the clock on the wall once the GPU has finished what was submitted to it."""
    torch.cuda.synchronize()
    return time.perf_counter()
