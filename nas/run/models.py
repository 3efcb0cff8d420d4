"""The trained networks of a run, loaded."""

from __future__ import annotations

from pathlib import Path

from nas.errors import NasError
from nas.nn.tensor_file import load_tensors
from nas.run.space import run_space
from nas.supernet.supernet import Supernet, sharing_of


def load_supernet(run: Path) -> Supernet:
    """Load a run's trained supernet, in eval mode."""
    space, tensors = run_space(run), load_tensors(run / "supernet.safetensors")
    supernet = Supernet(space, sharing=sharing_of(space, tensors))
    own = supernet.state_dict()
    if own.keys() != tensors.keys() or any(own[name].shape != tensors[name].shape for name in own):
        raise NasError(f"{run}/supernet.safetensors does not fit the run's space", "Train it again in a new run")
    supernet.load_state_dict(tensors)
    return supernet.eval()
