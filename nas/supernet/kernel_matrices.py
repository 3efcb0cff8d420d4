"""Learned matrices that make a small kernel of the centre of a large one (Cai et al. 2020, Once for All)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class KernelMatrices(nn.Module):
    """One matrix [k k, k k] for each shared convolution and each kernel k smaller than its own, shared over channels.

    All begin as the identity: a subnet is then what it would be without them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.matrices = nn.ParameterDict()

    def add(self, module: str, shared: nn.Module, kernels: Iterable[int]) -> None:
        """Make matrices for the convolutions of a shared module that are as large as the largest of `kernels`."""
        *smaller, largest = sorted(set(kernels))
        for name, tensor in shared.named_parameters():
            if tensor.dim() == 4 and tensor.shape[2:] == (largest, largest):
                for kernel in smaller:
                    self.matrices[key_of(module, name, kernel)] = nn.Parameter(torch.eye(kernel * kernel))

    def through(self, module: str, name: str, sliced: Tensor, shared: Tensor) -> Tensor:
        """Return a slice [out, in, k, k] of a shared tensor as its matrix makes it, or as it is where it has none."""
        key = key_of(module, name, sliced.shape[-1]) if sliced.dim() == 4 else ""
        if sliced.shape[2:] == shared.shape[2:] or key not in self.matrices:
            return sliced
        return (sliced.flatten(2) @ self.matrices[key]).view(sliced.shape)


def key_of(module: str, name: str, kernel: int) -> str:
    """Name the matrix of a convolution for one kernel; a parameter's own name may hold no dots."""
    return f"{module}/{name.replace('.', '/')}/{kernel}"
