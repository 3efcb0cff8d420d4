"""Quantisers: codes, gradients and first steps against float64 oracles; what is folded changes no code."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.nn.conv_norm import ConvNorm
from nas.nn.quantizer import (
    FakeQuantize,
    TensorQuantizer,
    WeightQuantizer,
    best_steps,
    code_range,
    initialised,
    quantize,
)

GRIDS = [code_range(8), code_range(4), code_range(2), code_range(8, narrow=False), code_range(8, signed=False)]


def oracle(value: np.ndarray, log_step: np.ndarray, low: int, high: int, grad: np.ndarray) -> tuple[np.ndarray, ...]:
    """Value and gradients entry by entry, as equations 1 to 5 of LSQ are written."""
    rows = value.reshape(len(log_step), -1)
    out, d_value, d_log_step = np.zeros_like(rows), np.zeros_like(rows), np.zeros(len(log_step))
    scale = 1 / np.sqrt(rows.shape[1] * high)
    for row, column in np.ndindex(*rows.shape):
        step = np.exp(log_step[row])
        ratio = rows[row, column] / step
        code = min(max(np.rint(ratio), low), high)
        g = grad.reshape(rows.shape)[row, column]
        out[row, column] = step * code
        inside = low <= ratio <= high
        d_value[row, column] = g if inside else 0.0
        d_log_step[row] += g * step * (code - ratio if inside else code) * scale
    return out.reshape(value.shape), d_value.reshape(value.shape), d_log_step


@pytest.mark.parametrize(("low", "high"), GRIDS)
@pytest.mark.parametrize("channels", [0, 3])
def test_values_and_gradients_equal_the_float64_oracle(low, high, channels):
    rng = np.random.default_rng(0)
    value, grad = rng.standard_normal((2, 3, 4, 5, 5))
    log_step = rng.normal(-2, 0.5, max(1, channels))
    v = torch.tensor(value, requires_grad=True)
    s = torch.tensor(log_step if channels else log_step[0], requires_grad=True)
    out = FakeQuantize.apply(v, s, low, high)
    out.backward(torch.tensor(grad))
    expected = oracle(value, log_step, low, high, grad)
    for got, want in zip((out.detach(), v.grad, s.grad), expected, strict=True):
        np.testing.assert_allclose(got.numpy().reshape(want.shape), want, rtol=1e-12, atol=1e-14)


def test_the_steps_gradient_is_the_slope_of_the_straight_through_surrogate():
    """With the rounding error held fixed, value = step * (value / step + error) inside and step * end outside."""
    value, low, high = torch.linspace(-3, 4, 41, dtype=torch.float64), *code_range(4)
    log_step = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    FakeQuantize.apply(value, log_step, low, high).sum().backward()
    error = quantize(value, log_step.detach().exp(), low, high) - value / log_step.detach().exp()

    def surrogate(at: float) -> float:
        ratio = value / np.exp(-1.0)
        inside = (ratio >= low) & (ratio <= high)
        return float(torch.where(inside, value + np.exp(at) * error, np.exp(at) * ratio.clamp(low, high)).sum())

    slope = (surrogate(-1 + 1e-6) - surrogate(-1 - 1e-6)) / 2e-6
    assert float(log_step.grad) == pytest.approx(slope * (41 * high) ** -0.5, rel=1e-6)


def test_codes_round_half_to_even_and_stay_in_range():
    codes = quantize(torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 99.0, -99.0]), torch.tensor(1.0), *code_range(4))
    assert codes.tolist() == [0, 2, 2, 0, -2, 7, -7]


@given(st.integers(0, 1000))
def test_quantising_twice_changes_nothing(seed):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(64, generator=generator)
    step = torch.rand((), generator=generator).log()
    once = FakeQuantize.apply(value, step, *code_range(8))
    assert torch.equal(FakeQuantize.apply(once, step, *code_range(8)), once)


@pytest.mark.parametrize(("bits", "step", "decibel"), [(8, 0.031, 40.5), (4, 0.353, 18.9), (2, 1.226, 7.2)])
def test_the_search_finds_the_best_step_of_a_gaussian(bits, step, decibel):
    """Best narrow grids of a unit Gaussian: their step and signal-to-noise ratio in decibel."""
    value = torch.randn(1, 200_000, generator=torch.Generator().manual_seed(0))
    low, high = code_range(bits)
    found = best_steps(value, low, high)
    error = quantize(value, found[:, None], low, high) * found[:, None] - value
    assert float(found) == pytest.approx(step, rel=0.15)
    assert 10 * np.log10(float(value.square().mean() / error.square().mean())) == pytest.approx(decibel, abs=0.5)


def test_a_channel_of_zeros_gets_a_step_that_divides():
    steps = best_steps(torch.tensor([[0.0, 0.0], [1.0, -2.0]]), *code_range(8))
    assert (steps > 0).all()
    assert torch.isfinite(steps.log()).all()


def test_each_bit_width_has_steps_of_its_own():
    assert not list(WeightQuantizer("fp", 4).parameters())
    assert set(dict(WeightQuantizer(("fp", 8, 4), 4).named_parameters())) == {"log_step.8", "log_step.4"}
    eight, four = WeightQuantizer(8, 4), WeightQuantizer(4, 4)
    assert (eight.limits, four.limits) == ((-127, 127), (-7, 7))
    assert TensorQuantizer(4).limits == (-128, 127)  # activations keep 8 bits
    assert TensorQuantizer(8, signed=False).limits == (0, 255)


@pytest.mark.parametrize("groups", [1, 6])
def test_folding_a_norm_changes_no_code(groups):
    torch.manual_seed(0)
    layer = ConvNorm(6, 6, 3, groups=groups, relu=True, bits=8)
    layer.norm.weight.data.uniform_(-2, 2)
    layer.norm.bias.data.normal_()
    x = torch.randn(4, 6, 9, 9)
    layer(x)  # running statistics
    layer.eval()
    with initialised(layer), torch.no_grad():
        layer(x)
    before, weight = layer(x), layer.conv.weight
    codes = quantize(weight, layer.conv.weight_quantizer.active_log_step.exp().view(-1, 1, 1, 1), -127, 127)
    layer.fold()
    folded = layer.conv.weight_quantizer.active_log_step.exp().view(-1, 1, 1, 1)
    signs = layer.norm  # an Identity now
    assert isinstance(signs, torch.nn.Identity)
    assert torch.equal(quantize(layer.conv.weight, folded, -127, 127).abs(), codes.abs())
    step = layer.output.active_log_step.exp()
    assert ((layer(x) - before).abs() <= 1.001 * step).all()
    assert ((layer(x) - before).abs() > 1e-5).float().mean() < 0.005  # a tie that fell the other way


def test_initialising_sets_steps_once_and_in_order():
    layer = ConvNorm(3, 5, 3, bits=8).eval()
    with initialised(layer), torch.no_grad():
        layer(torch.randn(2, 3, 8, 8))
        first = layer.output.active_log_step.clone()
        layer(100 * torch.randn(2, 3, 8, 8))
    assert torch.equal(layer.output.active_log_step, first)
    assert float(first.exp()) * 127 < 10


def test_float_layers_have_no_steps_and_are_plain():
    layer = ConvNorm(3, 5, 3)
    assert not [name for name in layer.state_dict() if "step" in name]
