"""Bits after a float training: the same weights, steps of their own, back near the float parent."""

import dataclasses

import pytest
import torch

from nas.data.splits import Dataset, Split
from nas.nn.quantizer import Quantizer
from nas.nn.subnet import build_subnet, fold_norms
from nas.space.architecture import Architecture, Block, Stage
from nas.space.bits import uniform, without_bits
from nas.training.network import Recipe, loss_of, train_model
from nas.training.quantized import bits_recipe, has_bits, quantize_model, tune_quantized

RECIPE = Recipe(epochs=8, batch_size=32, learning_rate=1e-2)
CONV = Block.of("conv", kernel=3, expansion=2)
FLOAT = Architecture(16, (Stage(16, (Block.of("basic"),)), Stage(16, (CONV, CONV))))


@pytest.fixture(scope="module")
def stripes():
    """A task that a tiny network learns in seconds: the row in which a bright line lies."""

    def make(seed, count):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 10, (count,), generator=generator)
        images = 0.3 * torch.randn(count, 3, 16, 16, generator=generator)
        images[torch.arange(count), :, labels + 3] += 1.0
        return Split(images, labels)

    return Dataset(
        "stripes", 0, 10, 16, 256, lambda epoch: make(epoch, 256), lambda: make(1, 200), lambda: make(2, 400)
    )


def share_right(model, split):
    with torch.no_grad():
        return (model(split.images).argmax(1) == split.labels).float().mean().item()


@pytest.fixture(scope="module")
def parent(stripes):
    torch.manual_seed(0)
    return train_model(build_subnet(FLOAT, 10), stripes, RECIPE, 0)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantised_model_has_its_parents_weights_and_is_near_it(bits, toy_bits, parent, stripes):
    architecture = uniform(toy_bits, FLOAT, bits)
    child = quantize_model(parent, architecture, 10, stripes.calibration())
    weights = [tensor for name, tensor in child.state_dict().items() if "log_step" not in name]
    assert all(torch.equal(*pair) for pair in zip(weights, parent.state_dict().values(), strict=True))
    steps = [part.active_log_step for part in child.modules() if isinstance(part, Quantizer) and part.widths]
    assert steps and all((step != 0).all() for step in steps)
    images = stripes.test().images
    with torch.no_grad():
        gap = (child(images) - parent(images)).norm() / parent(images).norm()
    assert gap < {8: 0.1, 4: 0.6}[bits]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_short_training_keeps_a_network_with_bits_within_two_points_of_its_parent(bits, toy_bits, parent, stripes):
    recipe = dataclasses.replace(RECIPE, bits_epochs=2, bits_rate=0.3)
    after = tune_quantized(parent, uniform(toy_bits, FLOAT, bits), stripes, recipe, 0)
    assert share_right(parent, stripes.test()) > 0.8
    assert share_right(after, stripes.test()) >= share_right(parent, stripes.test()) - 0.02


def test_without_epochs_steps_are_calibrated_only(toy_bits, parent, stripes):
    architecture = uniform(toy_bits, FLOAT, 8)
    only = tune_quantized(parent, architecture, stripes, dataclasses.replace(RECIPE, bits_epochs=0), 0)
    same = quantize_model(parent, architecture, 10, stripes.calibration())
    assert all(torch.equal(tensor, same.state_dict()[name]) for name, tensor in only.state_dict().items())


def test_a_trained_model_with_bits_leaves_as_integer_codes(toy_bits, parent, stripes):
    from nas.export.kernels import integer_kernels, promised_kernels
    from nas.export.onnx import export_onnx
    from nas.space.operator import operators

    architecture = uniform(toy_bits, FLOAT, 8)
    model = tune_quantized(parent, architecture, stripes, dataclasses.replace(RECIPE, bits_epochs=1), 0)
    exported = export_onnx(fold_norms(model), (1, 3, 16, 16))
    assert integer_kernels(exported) == promised_kernels(operators(architecture, 10))


def test_a_teacher_is_part_of_the_loss():
    logits, images, labels = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    alone = loss_of(logits, images, labels, None, Recipe(distill=0.7))
    same = loss_of(logits, images, labels, torch.nn.Identity(), Recipe())
    assert torch.equal(alone, same)
    assert not torch.equal(alone, loss_of(logits, images, labels, torch.nn.Identity(), Recipe(distill=0.7)))


def test_the_second_recipe_is_shorter_and_slower():
    short = bits_recipe(Recipe(epochs=10))
    assert (short.epochs, short.learning_rate) == (1, pytest.approx(Recipe().learning_rate * 0.1))


def test_only_architectures_with_integer_parts_have_bits(toy_bits):
    whole = uniform(toy_bits, FLOAT, 8)
    assert has_bits(whole) and not has_bits(without_bits(whole))
    assert without_bits(whole) == FLOAT
