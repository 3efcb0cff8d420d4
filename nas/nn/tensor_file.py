"""Named tensors on disk as safetensors: no file of ours can execute code when it is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import NasError

CHECKSUM = "sha256"  # of a file's metadata


def save_tensors(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Turn named tensors into the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, metadata)


def save_checked(tensors: dict[str, Tensor]) -> bytes:
    """Turn named tensors into the bytes of a safetensors file that holds their checksum."""
    return save_tensors(tensors, {CHECKSUM: checksum(tensors).hex()})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; `NasError` where it is missing or broken, or has a checksum that differs."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            written = (file.metadata() or {}).get(CHECKSUM)
    except FileNotFoundError as error:
        raise NasError(f"{path} is missing", "Train it: nas train-supernet --space scan-mix-tiny") from error
    except (SafetensorError, OSError) as error:
        raise NasError(f"{path} is broken: {error}", "Delete it and train again") from error
    if written is not None and written != checksum(tensors).hex():
        raise NasError(f"{path} is damaged: its checksum differs", "Delete it and train again")
    return tensors


def checksum(tensors: dict[str, Tensor]) -> bytes:
    """SHA-256 of names and contents."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()
