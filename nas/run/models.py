"""The trained supernet of a run, loaded."""

from __future__ import annotations

from pathlib import Path

from nas.errors import NasError
from nas.nn.tensor_file import load_tensors
from nas.space.search_space import SearchSpace
from nas.supernet.supernet import Supernet, sharing_of


def read_supernet(path: Path, space: SearchSpace) -> Supernet:
    """Load the supernet of `space` from a file, in eval mode; `NasError` where the weights do not fit."""
    tensors = load_tensors(path)
    supernet = Supernet(space, sharing=sharing_of(space, tensors))
    own = supernet.state_dict()
    if own.keys() != tensors.keys() or any(own[name].shape != tensors[name].shape for name in own):
        raise NasError(f"{path} does not fit the run's space", "Train it again in a new run")
    supernet.load_state_dict(tensors)
    return supernet.eval()
