"""Bits in a supernet: slices, phases, first steps; float training is what it was."""

import pytest
import torch

from nas.nn.quantizer import TensorQuantizer
from nas.space.bits import uniform
from nas.space.search_space import SearchSpace
from nas.supernet.bn_calibration import calibrate
from nas.supernet.supernet import Supernet, extract, inherit
from nas.training.optimizer import parameter_groups
from nas.training.supernet.bit_schedule import begin_steps, joins
from nas.training.supernet.loop import SupernetTraining, train_step
from nas.training.supernet.recipe import SupernetRecipe
from nas.training.supernet.sampling import sandwich


def begun(space, widths=(8, 4)):
    torch.manual_seed(0)
    supernet = Supernet(space).train()
    images = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for width in widths:
        begin_steps(supernet, width, images, seed=0)
    return supernet, images


def test_every_step_of_a_width_gets_its_first_value_and_no_other_width_does(toy_bits):
    supernet, _ = begun(toy_bits, widths=(8,))
    steps = {name: step for name, step in supernet.named_parameters() if "log_step" in name}
    for name, step in steps.items():
        assert (step != 0).all() if name.endswith(".8") else (step == 0).all(), name
    supernet, _ = begun(toy_bits)
    assert all((step != 0).all() for name, step in supernet.named_parameters() if "log_step" in name)


def test_first_steps_leave_weights_and_running_statistics_alone(toy_bits):
    torch.manual_seed(0)
    fresh = Supernet(toy_bits)
    supernet, _ = begun(toy_bits)
    for name, tensor in fresh.state_dict().items():
        assert "log_step" in name or torch.equal(tensor, supernet.state_dict()[name]), name


@pytest.mark.parametrize("bits", ["fp", 8, 4])
def test_an_extracted_subnet_with_bits_equals_the_supernet(bits, toy_bits):
    supernet, images = begun(toy_bits)
    architecture = uniform(toy_bits, toy_bits.largest(), bits)
    stats = calibrate(supernet, architecture, images)
    supernet.eval()
    with torch.no_grad():
        expected = supernet(images, architecture, stats)
        inherited = inherit(supernet, architecture, stats)(images)
        folded = extract(supernet, architecture, stats)(images)
    torch.testing.assert_close(inherited, expected, atol=1e-6, rtol=1e-5)
    # folding rounds weights anew, which may turn a tie: a step of the logits at most, seldom
    step = 0.0 if bits == "fp" else torch.unique(expected).diff().min().item()
    assert (folded - expected).abs().max() <= 1e-5 + 2 * step
    assert ((folded - expected).abs() > 1e-5).float().mean() < 0.05


def test_eight_bits_stay_near_their_float_network(toy_bits):
    supernet, images = begun(toy_bits)
    supernet.eval()
    outputs = {}
    for bits in ("fp", 8, 4):
        architecture = uniform(toy_bits, toy_bits.largest(), bits)
        with torch.no_grad():
            outputs[bits] = supernet(images, architecture, calibrate(supernet, architecture, images))
    error = {bits: (outputs[bits] - outputs["fp"]).norm() / outputs["fp"].norm() for bits in (8, 4)}
    assert error[8] < 0.1
    assert error[8] < error[4] < 0.7


def test_calibration_sets_activation_steps_of_the_subnet_alone(toy_bits):
    supernet, images = begun(toy_bits)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    architecture = uniform(toy_bits, toy_bits.largest(), 8)
    stats = calibrate(supernet, architecture, 10 * images)
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    subnet = inherit(supernet, architecture, stats)
    first = next(part for part in subnet.modules() if isinstance(part, TensorQuantizer) and part.widths)
    assert float(first.active_log_step.detach().exp()) == pytest.approx(
        10 * float(before["shared.stem-quantize.log_step.8"].exp()), rel=0.25
    )


def test_eight_then_four_then_eight_bits_change_nothing(toy_bits):
    supernet, images = begun(toy_bits)
    eight, four = (uniform(toy_bits, toy_bits.largest(), bits) for bits in (8, 4))
    supernet.eval()
    with torch.no_grad():
        before = supernet(images, eight)
        supernet(images, four)
        assert torch.equal(supernet(images, eight), before)


def test_only_the_steps_of_the_active_bits_get_gradients(toy_bits):
    supernet, images = begun(toy_bits)
    supernet(images, uniform(toy_bits, toy_bits.largest(), 8)).square().sum().backward()
    for name, parameter in supernet.named_parameters():
        if name.endswith("log_step.4"):
            assert parameter.grad is None
    assert any(name.endswith("log_step.8") and p.grad is not None for name, p in supernet.named_parameters())


def test_widths_join_one_after_another(toy_bits):
    assert joins(toy_bits, 100, (0.5, 0.75)) == {8: 50, 4: 75}
    assert joins(SearchSpace.load("toy"), 100, (0.5, 0.75)) == {}


def test_a_float_largest_subnet_teaches_in_every_step(toy_bits, context_of):
    for step in range(20):
        largest, copy, *drawn, smallest = sandwich(context_of(toy_bits, step), widths=(8, 4))
        assert largest == uniform(toy_bits, largest, "fp")
        assert copy == uniform(toy_bits, largest, 8)
        assert smallest == uniform(toy_bits, toy_bits.smallest(), 4)
        assert len(drawn) == 2 and all(each in toy_bits for each in drawn)


def test_half_of_the_random_subnets_have_uniform_bits(toy_bits, context_of):
    drawn = [each for step in range(300) for each in sandwich(context_of(toy_bits, step), widths=(8, 4))[2:-1]]
    profiles = [{uniform(toy_bits, each, bits) for bits in ("fp", 8, 4)} for each in drawn]
    share = sum(each in same for each, same in zip(drawn, profiles, strict=True)) / len(drawn)
    assert 0.5 < share < 0.7  # a few mixed draws are uniform by chance


def test_before_any_width_joins_all_subnets_are_float(toy_bits, context_of):
    for step in range(20):
        assert all(each == uniform(toy_bits, each, "fp") for each in sandwich(context_of(toy_bits, step)))


def test_a_training_through_its_phases_lowers_every_loss_and_resumes_bit_for_bit(toy_bits):
    def begin():
        torch.manual_seed(0)
        recipe = SupernetRecipe(epochs=1, bits_after=0.3, low_bits_after=0.6)
        return SupernetTraining(Supernet(toy_bits), recipe, 0, steps_per_epoch=10)

    generator = torch.Generator().manual_seed(5)
    batches = [(torch.randn(16, 3, 16, 16, generator=generator), torch.arange(16) % 10) for _ in range(10)]
    whole, first, second = begin(), begin(), begin()
    for batch in batches:
        whole.supernet.train()
        train_step(whole, *batch)
    for batch in batches[:6]:
        train_step(first, *batch)
    second.restore(first.state())
    for batch in batches[6:]:
        train_step(second, *batch)
    one, other = whole.state(), second.state()
    assert all(torch.equal(one[name], other[name]) for name in one)
    averages = {name: tensor for name, tensor in whole.average.tensors.items() if "log_step.4" in name}
    assert averages and all((tensor != 0).all() for tensor in averages.values())


def test_steps_learn_slower_and_do_not_decay(toy_bits):
    *weights, steps = parameter_groups(Supernet(toy_bits), 0.02, 0.1)
    assert (steps["weight_decay"], steps["rate_factor"]) == (0.0, 0.1)
    assert len(weights) == len(parameter_groups(Supernet(SearchSpace.load("toy")), 0.02, 0.1)) == 2
