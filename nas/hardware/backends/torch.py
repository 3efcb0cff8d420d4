"""PyTorch's own ways to run a module: eager, compiled, replayed as a CUDA graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from nas.hardware.backends.session import TORCH_DTYPES, Call, Setting, Shape, fixed_input

WARM_UP = 3  # runs before a capture: libraries choose kernels and take their memory in the first ones


def place(module: nn.Module, shape: Shape, setting: Setting) -> tuple[nn.Module, Tensor]:
    """Put a module and its input on the device, in its dtype, maps in channels_last as GPUs prefer them."""
    images = torch.from_numpy(fixed_input(shape)).to(setting.kind, TORCH_DTYPES[setting.dtype])
    module = module.eval().to(setting.kind, TORCH_DTYPES[setting.dtype])
    if setting.kind == "cuda" and len(shape) == 4:
        return module.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    return module, images


def eager_call(module: nn.Module, shape: Shape, setting: Setting) -> Call:
    """Run `module` as PyTorch runs it by itself; use it within `arithmetic(setting)`."""
    module, images = place(module, shape, setting)

    def run() -> Tensor:
        with torch.inference_mode():
            return module(images)

    return run


def compile_call(module: nn.Module, shape: Shape, setting: Setting) -> Call:
    """Run `module` compiled by Inductor for its one shape; an operation that cannot be compiled is an error.

    It is exported first: orders of scans are worked out in NumPy, which the compiler does not follow but an export
    does. And an exported graph has code of its own: compiled code is kept by the code it came from, eight times at
    most, beyond which instances of one class would run uncompiled.
    """
    module, images = place(module, shape, setting)
    with torch.no_grad():
        module(images)  # what scans work out once and keep must be real tensors, not those of the export
        graph = torch.export.export(module, (images,)).module()
        assert isinstance(graph, GraphModule)
        graph.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        graph.recompile()
        compiled = torch.compile(graph, fullgraph=True, dynamic=False)

    def run() -> Tensor:
        with torch.no_grad():
            return compiled(images)

    run()
    return run


def cudagraph_call(module: nn.Module, shape: Shape, setting: Setting) -> Call:
    """Capture one run of `module` into a CUDA graph; the callable replays it, without waiting for its end.

    All kernels of the run are submitted at once, which is nearest to how a deployment engine launches them.
    """
    module, images = place(module, shape, setting)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            module(images)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        # Even a module that does nothing must leave a kernel: an empty graph cannot be told from a broken one.
        logits = module(images) + 0 if isinstance(module, nn.Identity) else module(images)
    held = module, images, logits  # a graph knows addresses only: what lies there must not be freed before it

    def run() -> tuple[nn.Module, Tensor, Tensor]:
        graph.replay()
        return held

    return run
