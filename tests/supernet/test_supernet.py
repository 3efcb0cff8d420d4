import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nas
from nas.space.architecture import Architecture
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces
from nas.supernet.elastic import take_slice
from nas.supernet.supernet import Supernet, inherit


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_extracted_model_equals_the_supernet(name, make_supernet, images):
    space = SearchSpace.load(name)
    supernet = make_supernet(space)
    rng = np.random.default_rng(0)
    drawn = [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(50))]
    with torch.no_grad():
        for architecture in drawn:
            stats = nas.calibrate(supernet, architecture, images)
            for given in (stats, None):
                model = nas.extract(supernet, architecture, given)
                torch.testing.assert_close(model(images), supernet(images, architecture, given), rtol=1e-5, atol=1e-5)
            assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules())


def test_an_extracted_model_shares_nothing_with_the_supernet(toy, make_supernet, images):
    supernet = make_supernet(toy)
    model = nas.extract(supernet, toy.largest())
    before = model(images)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.zero_()
    torch.testing.assert_close(model(images), before)


def test_running_one_architecture_does_not_change_another(toy, make_supernet, images):
    supernet = make_supernet(toy)
    with torch.no_grad():
        before = supernet(images, toy.smallest())
        supernet(images, toy.largest())
        assert torch.equal(supernet(images, toy.smallest()), before)


def test_a_subnet_trains_only_the_weights_it_uses(toy, make_supernet, images):
    supernet = make_supernet(toy).train()
    small = toy.smallest()
    supernet(images, small).sum().backward()
    used = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    kinds = {name.split(".")[1] for name in used}
    assert kinds == {"stem", "stage0-block0-conv", "stage1-downsample", "stage1-block0-conv", "head"}
    stem = supernet.shared["stem"].conv.conv.weight.grad
    assert stem[:8].abs().sum() > 0 and stem[8:].abs().sum() == 0  # the smallest is 8 wide, the largest 16


def test_a_slice_takes_first_channels_and_the_centre_of_kernels():
    shared = torch.arange(2 * 3 * 5 * 5.0).view(2, 3, 5, 5)
    assert torch.equal(take_slice(shared, torch.Size([1, 2, 3, 3])), shared[:1, :2, 1:4, 1:4])
    vector = torch.arange(4.0)
    assert take_slice(vector, torch.Size([4])) is vector
    assert take_slice(vector, torch.Size([2])).data_ptr() == vector.data_ptr()


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_supernet_has_room_for_every_block_of_its_space(name):
    space = SearchSpace.load(name)
    with torch.device("meta"):
        supernet = Supernet(space)
    widths = [max(stage.widths) for stage in space.stages]
    for s, stage in enumerate(space.stages):
        for block in stage.blocks:
            architecture = space.largest()
            stages = list(architecture.stages)
            stages[s] = type(stages[s])(widths[s], (block,) * max(stage.depths))
            images = torch.zeros(1, 3, architecture.resolution, architecture.resolution, device="meta")
            assert supernet.eval()(images, Architecture(architecture.resolution, tuple(stages))).shape == (1, 10)


def test_inherited_and_extracted_weights_agree_before_training(toy, make_supernet, images):
    supernet = make_supernet(toy)
    architecture = toy.sample(np.random.default_rng(3))
    torch.testing.assert_close(
        inherit(supernet, architecture)(images), nas.extract(supernet, architecture)(images), rtol=1e-5, atol=1e-5
    )


def test_images_of_another_size_are_resized_to_the_resolution_of_the_architecture(toy, make_supernet, images):
    supernet = make_supernet(toy)
    architecture = toy.smallest()
    small = F.interpolate(images, size=(12, 12), mode="bilinear", antialias=True)
    torch.testing.assert_close(supernet(images, architecture), supernet(small, architecture))
