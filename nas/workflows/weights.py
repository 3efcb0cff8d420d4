"""Weights on disk as safetensors: no file of ours can execute code when it is read."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from nas.errors import NasError
from nas.supernet.supernet import Supernet, sharing_of
from nas.workflows.run_space import run_space


def save_tensors(tensors: dict[str, Tensor]) -> bytes:
    """Turn named tensors into the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; `NasError` where it is missing or broken."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise NasError(f"{path} is missing", "Train it: nas train-supernet --space scan-mix-tiny") from error
    except (SafetensorError, OSError) as error:
        raise NasError(f"{path} is broken: {error}", "Delete it and train again") from error


def load_supernet(run: Path) -> Supernet:
    """Load a run's trained supernet, in eval mode."""
    space, tensors = run_space(run), load_tensors(run / "supernet.safetensors")
    supernet = Supernet(space, sharing=sharing_of(space, tensors))
    own = supernet.state_dict()
    if own.keys() != tensors.keys() or any(own[name].shape != tensors[name].shape for name in own):
        raise NasError(f"{run}/supernet.safetensors does not fit the run's space", "Train it again in a new run")
    supernet.load_state_dict(tensors)
    return supernet.eval()
