"""Biases of integer layers are whole multiples of a product's worth; all others stay as they are."""

import pytest
import torch
from torch import nn

from nas.nn.biases import round_biases
from nas.nn.layers import Conv2d, Linear
from nas.nn.quantizer import TensorQuantizer
from nas.space.operator import FINER


class Tokens(nn.Module):
    """Reads a map as tokens, a view of it."""

    def __init__(self, bits):
        super().__init__()
        self.entry, self.conv, self.linear = TensorQuantizer(bits), Conv2d(3, 6, 1, bits=bits), Linear(6, 4, bits=bits)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if "log_step" in name:
                    parameter.copy_(-3 - torch.rand(parameter.shape))

    def forward(self, x):
        return self.linear(self.conv(self.entry(x)).flatten(2).transpose(1, 2))


@pytest.mark.parametrize(("bits", "finer"), [(8, 1), (4, FINER)])
def test_a_bias_becomes_the_nearest_whole_multiple_also_behind_a_view(bits, finer):
    torch.manual_seed(0)
    model = Tokens(bits)
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    round_biases(model, (1, 3, 4, 4))
    for layer, source in ((model.conv, model.entry), (model.linear, model.conv.output)):
        unit = source.active_log_step.exp() * layer.weight_quantizer.active_log_step.exp() / finer
        was = before["conv.bias" if layer is model.conv else "linear.bias"]
        assert ((layer.bias - was).abs() <= 0.5001 * unit).all()
        torch.testing.assert_close(layer.bias / unit, (layer.bias / unit).round(), rtol=0, atol=1e-3)
        assert not torch.equal(layer.bias, was)
    once = model.conv.bias.clone()
    round_biases(model, (1, 3, 4, 4))
    assert torch.equal(model.conv.bias, once)
    assert all(torch.equal(each, before[name]) for name, each in model.named_parameters() if "bias" not in name)


def test_a_float_network_stays_as_it_is():
    model = Tokens("fp")
    before = [each.detach().clone() for each in model.parameters()]
    round_biases(model, (1, 3, 4, 4))
    assert all(map(torch.equal, before, model.parameters()))
