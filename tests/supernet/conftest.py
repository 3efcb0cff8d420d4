import pytest
import torch

from nas.space.search_space import SearchSpace
from nas.supernet.range_losses import RangeLosses
from nas.supernet.sampling import Turn
from nas.supernet.supernet import Supernet


@pytest.fixture
def toy():
    return SearchSpace.load("toy")


@pytest.fixture
def make_supernet():
    """Make a supernet whose BatchNorm statistics and weights are away from their initial values."""

    def make(space, seed=0):
        torch.manual_seed(seed)
        supernet = Supernet(space)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in supernet.state_dict().items():
                if "running_mean" in name or name.endswith(("norm.weight", "norm.bias")):
                    tensor.add_(0.2 * torch.randn(tensor.shape, generator=generator))
                if "running_var" in name:
                    tensor.mul_(0.5 + torch.rand(tensor.shape, generator=generator))
        return supernet.eval()

    return make


@pytest.fixture
def images():
    return torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def turn_of():
    """Make the turn of a step of some space, in the middle of a training; what it looks at can be given."""

    def make(space, step=0, seed=0, **given):
        usual = {"num_random": 2, "done": 0.5, "bins": list, "score": lambda each: 0.0, "gradient": lambda name: 1.0}
        usual |= {"losses": RangeLosses(20), "front": (space.smallest(), space.largest())}
        return Turn(space=space, step=step, seed=seed, **{**usual, **given})

    return make
