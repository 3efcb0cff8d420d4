"""Weights that a supernet begins with instead of random ones: those of another run, or of a file."""

from __future__ import annotations

from pathlib import Path

from nas.errors import NasError
from nas.nn.tensor_file import load_tensors
from nas.run.run import WEIGHTS
from nas.supernet.slicing import take_slice
from nas.supernet.supernet import Supernet


def warm_start(supernet: Supernet, source: Path) -> float:
    """Copy what a run or a safetensors file has under the same names; return the share of all weights that were found.

    A larger tensor gives its slice, so that the supernet of a larger space can start a smaller one (as InstaTune starts
    from pretrained weights: Sarah et al. 2023, arXiv 2308.15609). `NasError` where nothing fits.
    """
    tensors = load_tensors(source / WEIGHTS if source.is_dir() else source)
    own = supernet.state_dict()
    fitting = {
        name: take_slice(tensors[name], tensor.shape)
        for name, tensor in own.items()
        if name in tensors and covers(tensors[name].shape, tensor.shape)
    }
    if not fitting:
        raise NasError(f"{source} has no tensor that fits the supernet", "Start from a run of the same kinds of blocks")
    supernet.load_state_dict({**own, **fitting})
    return sum(tensor.numel() for tensor in fitting.values()) / sum(tensor.numel() for tensor in own.values())


def covers(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """Whether a tensor of one shape has a slice of another."""
    return len(have) == len(want) and all(large >= small for large, small in zip(have, want, strict=True))
