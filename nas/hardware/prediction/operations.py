"""What a network asks of a GPU: every kernel that PyTorch would start for it, found without memory and without a GPU.

The network runs on the meta device, which computes shapes only. Every operation that reaches a kernel is written down
with its floating-point operations and the bytes it reads and writes; views are free. Matrix products and convolutions
are named by kind, all else is memory traffic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nas.hardware.prediction.roofline import Operation

TILE = 64  # side of the part of a matrix product that one multiprocessor computes at a time
FLOAT_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
FREE = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "_unsafe_view",
    "detach",
    "lift_fresh",
}
MATMULS = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1}  # where their first factor stands among the arguments
# What autocast computes in half precision, and what in float32 (PyTorch's list, as far as vision networks use it).
LOWERED = {
    *(F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose2d, torch.matmul, Tensor.matmul, Tensor.__matmul__),
    *(torch.bmm, Tensor.bmm, torch.mm, Tensor.mm, torch.addmm, torch.baddbmm, torch.einsum),
}
WIDENED = {
    *(F.layer_norm, torch.layer_norm, F.group_norm, torch.group_norm, F.softmax, torch.softmax, Tensor.softmax),
    *(F.normalize, torch.norm, Tensor.norm, torch.linalg.vector_norm, Tensor.exp, torch.exp, Tensor.sum, torch.sum),
    *(Tensor.pow, torch.pow, Tensor.cumsum, torch.cumsum, F.softplus, Tensor.rsqrt, torch.rsqrt),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a network runs: its dtype, by autocast (weights in float32) or converted as a whole, and its attention.

    Attention that is not fused takes a kernel for each step and writes the scores down.
    """

    dtype: str
    autocast: bool
    fused_attention: bool = True


def operations_of(module: nn.Module, shape: tuple[int, ...], setting: Setting) -> tuple[Operation, ...]:
    """List the kernels that `module` starts for an input of `shape` (batch first), in the order they run.

    The module is moved to the meta device and loses its weights. Inputs and weights lie channels-last.
    """
    dtype = FLOAT_DTYPES[setting.dtype]
    kept = torch.float32 if setting.autocast else dtype
    module = module.eval().to("meta").to(kept)
    images = torch.empty(shape, device="meta", dtype=kept)
    if len(shape) == 4:
        module, images = module.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    recorder = Recorder()
    functions = Functions(dtype, setting.autocast, recorder if setting.fused_attention else None)
    with torch.no_grad(), functions, recorder:
        module(images)
    return tuple(recorder.found)


class Recorder(TorchDispatchMode):
    """Writes down every operation on meta tensors that reaches a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Take a composite operation apart; run any other and write it down."""
        kwargs = dict(kwargs or {})
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        result = func(*args, **kwargs)
        outputs = list(tensors_in(result))
        here = all(
            tensor.device.type == "meta" for tensor in tensors_in((args, kwargs, result))
        )  # constants come from the CPU
        if outputs and here and not is_free(func):
            self.found.extend(kernels_of(func, args, kwargs, outputs))
        return result


class Functions(TorchFunctionMode):
    """Does to meta tensors what autocast does to those of a GPU, and takes attention as one kernel or several.

    Products are computed in `lowered`, with `autocast` also norms in float32. A converted network needs the first where
    part of it computes in float32 for precision. `fused` writes attention down as one kernel; None: it is several.
    """

    def __init__(self, lowered: torch.dtype, autocast: bool, fused: Recorder | None) -> None:
        super().__init__()
        self.lowered, self.autocast, self.fused = lowered, autocast, fused

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Cast the floating arguments where autocast would."""
        kwargs = dict(kwargs or {})
        attention = func is F.scaled_dot_product_attention
        if attention and self.fused is None:
            with self:
                return attend_in_steps(*args, **kwargs)
        if attention or func in LOWERED:
            args, kwargs = cast((args, kwargs), self.lowered)
        elif self.autocast and func in WIDENED:
            args, kwargs = cast((args, kwargs), torch.float32)
        if attention and self.fused is not None:
            return attend(self.fused, *args, **kwargs)
        return func(*args, **kwargs)


def attend(recorder: Recorder, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, **_: Any) -> Tensor:
    """Record fused attention of q [..., H, L, E], k and v [..., H, S, E]; return a tensor of its shape and layout."""
    length, width = q.shape[-2], v.shape[-1]
    out = q.new_empty(*q.shape[:-3], length, q.shape[-3], width).transpose(-3, -2)
    flops = 2 * q.numel() * k.shape[-2] + 2 * out.numel() * k.shape[-2]
    moved = sum(traffic(tensor) for tensor in (q, k, v, out, *([attn_mask] if attn_mask is not None else [])))
    tiles = math.prod(q.shape[:-2]) * -(-length // TILE)
    recorder.found.append(Operation("attention", NAMES[q.dtype], flops, moved, tiles))
    return out


def attend_in_steps(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, **_: Any) -> Tensor:
    """Attend as networks did before there was one kernel for it."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ v


def kernels_of(
    func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: list[Tensor]
) -> Iterator[Operation]:
    """Yield what one ATen operation starts: a kernel, and one more for the bias of a convolution."""
    name, out = func.overloadpacket.__name__, outputs[0]
    inputs = list(tensors_in((args, kwargs)))
    moved = sum(traffic(output) for output in outputs) + sum(traffic(input) for input in inputs)
    if name == "convolution":
        images, weight, bias, groups, transposed = args[0], args[1], args[2], args[8], args[6]
        flops = 2 * (images if transposed else out).numel() * weight[0].numel()
        per_group = out.shape[1] // groups
        tiles = groups * -(-per_group // TILE) * -(-(out.numel() // out.shape[1]) // TILE)
        kind = "conv" if groups == 1 else "depthwise" if groups == images.shape[1] else "grouped"
        yield Operation(kind, NAMES[out.dtype], flops, moved, tiles)
        if bias is not None:
            yield Operation("memory", NAMES[out.dtype], 0, 2 * traffic(out), 0)
    elif name in MATMULS:
        first = args[MATMULS[name]]
        rows, columns = out.shape[-2:]
        tiles = (out.numel() // (rows * columns)) * -(-rows // TILE) * -(-columns // TILE)
        yield Operation("matmul", NAMES[out.dtype], 2 * out.numel() * first.shape[-1], moved, tiles)
    else:
        if name in ("index", "index_select", "gather", "embedding"):  # only what is picked is read
            moved = 2 * traffic(out)
        yield Operation("memory", NAMES.get(out.dtype, "fp32"), 0, moved, 0)


def is_free(func: Any) -> bool:
    """Return whether an operation starts no kernel: it makes a view, or memory that nothing is written to."""
    if func.overloadpacket.__name__ in FREE:
        return True
    returned = [output.alias_info for output in func._schema.returns]
    return bool(returned) and all(alias is not None and not alias.is_write for alias in returned)


def traffic(tensor: Tensor) -> int:
    """Return the bytes of a tensor, each once even where it is broadcast."""
    sizes = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    return math.prod(sizes) * tensor.element_size()


def tensors_in(nested: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, tuple | list):
        for item in nested:
            yield from tensors_in(item)
    elif isinstance(nested, dict):
        yield from tensors_in(list(nested.values()))


def cast(nested: Any, dtype: torch.dtype) -> Any:
    """Convert the floating tensors in nested tuples, lists and dicts."""
    if isinstance(nested, Tensor):
        return nested.to(dtype) if nested.is_floating_point() else nested
    if isinstance(nested, tuple | list):
        return type(nested)(cast(item, dtype) for item in nested)
    if isinstance(nested, dict):
        return {name: cast(each, dtype) for name, each in nested.items()}
    return nested


@contextmanager
def without_memory() -> Iterator[None]:
    """Build modules on the meta device."""
    with torch.device("meta"):
        yield


def build_without_memory(make: Callable[[], nn.Module]) -> nn.Module:
    """Build a module on the meta device, or, where its constructor needs numbers, on the CPU and then move it."""
    try:
        with without_memory():
            return make()
    except (NotImplementedError, RuntimeError, ValueError):
        return make().to("meta")
