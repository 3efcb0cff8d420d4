import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nas
from nas.space.search_space import SearchSpace
from nas.space.space_file import shipped_spaces
from nas.supernet.slicing import take_slice
from nas.supernet.supernet import Supernet, inherit

COMPARED = {"toy": 50, "scan-mix-tiny": 50, "scan-mix-small": 4}  # sampled networks; the others are large


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in COMPARED else [pytest.mark.slow]) for name in shipped_spaces()]
)
def test_the_extracted_model_equals_the_supernet(name, make_supernet, images):
    space = SearchSpace.load(name)
    supernet = make_supernet(space)
    rng = np.random.default_rng(0)
    ends = [space.smallest(), space.largest()] if name in COMPARED else [space.smallest()]
    drawn = [*ends, *(space.sample(rng) for _ in range(COMPARED.get(name, 1)))]
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
@torch.no_grad()
def test_the_supernet_has_room_for_every_block_of_its_space(name):
    space = SearchSpace.load(name)
    with torch.device("meta"):
        supernet = Supernet(space)
    widths = [max(stage.widths) for stage in space.stages]
    smallest = space.smallest()
    images = torch.zeros(1, 3, smallest.resolution, smallest.resolution, device="meta")
    for s, stage in enumerate(space.stages):
        for block in drawn_blocks(stage):
            stages = list(smallest.stages)
            stages[s] = replace(stages[s], width=widths[s], blocks=(block,) * min(stage.depths))
            logits = supernet.eval()(images, replace(smallest, stages=tuple(stages)))
            assert logits.shape == (1, space.num_classes)


def drawn_blocks(stage, at_most=8):
    """Give some blocks of every kind of a stage, all of them where there are few."""
    blocks = {kind: [block for block in stage.blocks if block.kind == kind] for kind in stage.kinds}
    rng = np.random.default_rng(0)
    return [each for kind in blocks.values() for each in rng.permutation(np.array(kind, dtype=object))[:at_most]]


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


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_of_a_supernet_that_has_run_runs_on_weights_of_its_own(toy, make_supernet, images, copied):
    supernet = make_supernet(toy)
    before = supernet(images, toy.largest())
    other = copied(supernet)
    assert torch.equal(other(images, toy.largest()), before)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not other(images, toy.largest()).any()
    assert torch.equal(supernet(images, toy.largest()), before)
