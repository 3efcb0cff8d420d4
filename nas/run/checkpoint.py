"""The state of a training on disk: the newest and the one before, each with a checksum of its tensors."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nas.errors import NasError
from nas.files import write_bytes
from nas.nn.tensor_file import checksum, load_tensors, save_tensors
from nas.progress import Console

NEWEST, BEFORE = "training_state.safetensors", "training_state.previous.safetensors"
CHECKSUM = "checksum"  # the name of the tensor that holds it


def write_checkpoint(run: Path, tensors: dict[str, Tensor]) -> None:
    """Write a state; the one that was the newest is kept beside it. Killed in between, that one is there."""
    write_newest(run, save_tensors({**tensors, CHECKSUM: digest_of(tensors)}))


def write_newest(run: Path, data: bytes) -> None:
    """Write the file of the newest state, after making the one that was the newest the one before."""
    if (run / NEWEST).exists():
        (run / NEWEST).replace(run / BEFORE)
    write_bytes(run / NEWEST, data)


def read_checkpoint(run: Path, console: Console) -> dict[str, Tensor] | None:
    """Read the newest sound state, saying so where that is the one before; None where none was written.

    `NasError` where all that there is, is broken.
    """
    paths = [path for path in (run / NEWEST, run / BEFORE) if path.exists()]
    for path in paths:
        try:
            return checked(path)
        except NasError as error:
            console.say(f"note: {error.args[0]}; trying the state before it")
    if paths:
        raise NasError(f"{run} has no sound training state", "Start a new run with --run NEW")
    return None


def checked(path: Path) -> dict[str, Tensor]:
    """Read a state; `NasError` where its tensors are not those that were written."""
    tensors = load_tensors(path)
    written = tensors.pop(CHECKSUM, None)
    if written is None or not torch.equal(written, digest_of(tensors)):
        raise NasError(f"{path} is damaged: its checksum differs", "Delete it")
    return tensors


def digest_of(tensors: dict[str, Tensor]) -> Tensor:
    """Return the checksum of tensors as one, uint8 [32]."""
    return torch.frombuffer(bytearray(checksum(tensors)), dtype=torch.uint8)
