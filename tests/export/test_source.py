import importlib.util
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas.export.source import tensors_of, write_source
from nas.nn.subnet import build_operator, fold_norms
from nas.space.kinds import KINDS


class Chain(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images):
        return self.layers(images)


@torch.no_grad()
def export(network, images):
    network(images)
    return torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},))


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a network as a file of its own, import that, and load it."""

    def write(network, images, titles):
        program = export(network, images)
        (tmp_path / "model.py").write_text(write_source(program, tmp_path.name, titles))
        save_file({name: each.clone().contiguous() for name, each in tensors_of(program).items()}, tmp_path / "w")
        (tmp_path / "w").rename(tmp_path / "model.safetensors")
        spec = importlib.util.spec_from_file_location("written_model", tmp_path / "model.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "written_model", module)
        spec.loader.exec_module(module)
        return module.load()

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_network_computes_the_same_to_the_last_bit(kind, operator_of, written):
    torch.manual_seed(0)
    op = operator_of(kind, 32, 8)
    network = fold_norms(Chain(build_operator(op), build_operator(op)).eval())
    found = written(network, torch.randn(2, 32, 8, 8), ["one", "two"])
    images = torch.randn(5, 32, 8, 8)  # another batch than the exported one
    with torch.no_grad():
        assert torch.equal(found(images), network(images))


@pytest.mark.parametrize("kind", ["basic", "ssd"])
def test_a_written_network_with_bits_computes_the_same(kind, quantized_operator, trained, written):
    module, images = trained(quantized_operator(kind, 8))
    network = Chain(*module)
    found = written(network, torch.from_numpy(images).repeat(2, 1, 1, 1), ["codes", "block"])
    with torch.no_grad():
        assert torch.equal(found(torch.from_numpy(images)), network(torch.from_numpy(images)))


def test_tensors_keep_their_names(operator_of, written):
    network = fold_norms(Chain(build_operator(operator_of("conv", 16, 8))).eval())
    found = written(network, torch.randn(2, 16, 8, 8), ["conv"])
    assert found.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(found.state_dict()[name], each) for name, each in network.state_dict().items())


def test_a_written_network_can_be_trained_on(operator_of, written):
    network = fold_norms(Chain(build_operator(operator_of("ssd", 32, 8))).eval())
    found = written(network, torch.randn(2, 32, 8, 8), ["ssd"])
    found(torch.randn(2, 32, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in found.parameters())
