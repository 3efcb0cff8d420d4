import numpy as np
import pytest
import torch
from torch import nn

from nas.data.splits import Split
from nas.evaluation.accuracy import BATCH_SIZE, accuracy, inherited_accuracy, model_accuracy, side_by_side
from nas.space.search_space import SearchSpace
from nas.supernet.bn_calibration import calibrate
from nas.supernet.supernet import Supernet, extract


def made_up_split(count, classes=10, size=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, size, size, generator=generator)
    return Split(images, torch.randint(classes, (count,), generator=generator))


@pytest.mark.parametrize("count", [1, BATCH_SIZE - 1, BATCH_SIZE, 2 * BATCH_SIZE + 3])
def test_accuracy_is_the_share_of_right_answers_however_the_batches_fall(count):
    split = made_up_split(count)
    wrong = count // 3
    answers = split.labels.clone()
    answers[:wrong] = (answers[:wrong] + 1) % 10
    position = {split.images[i].numpy().tobytes(): i for i in range(count)}

    def predict(images):
        rows = [position[image.contiguous().numpy().tobytes()] for image in images]
        return nn.functional.one_hot(answers[rows], 10).float()

    assert accuracy(predict, split) == (count - wrong) / count


def test_operations_use_one_thread_however_many_are_allowed():
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        assert list(side_by_side(lambda item: (item, torch.get_num_threads()), range(7))) == [(i, 1) for i in range(7)]
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)


def test_no_gradients_are_kept():
    weight = torch.ones(10, requires_grad=True)
    seen = []

    def predict(images):
        logits = images.mean((1, 2, 3))[:, None] * weight
        seen.append(logits.requires_grad)
        return logits

    accuracy(predict, made_up_split(3))
    assert seen == [False]


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_judged_in_eval_mode_and_put_back(training):
    modes = []

    class Watched(nn.Module):
        def forward(self, images):
            modes.append(self.training)
            return torch.zeros(len(images), 10)

    model = Watched().train(training)
    model_accuracy(model, made_up_split(5))
    assert modes == [False]
    assert model.training is training


@pytest.fixture
def supernet():
    torch.manual_seed(0)
    return Supernet(SearchSpace.load("toy"))


def test_inherited_accuracy_is_that_of_the_extracted_model(supernet):
    split, images = made_up_split(300, seed=1), made_up_split(64, seed=2).images
    rng = np.random.default_rng(0)
    for architecture in [supernet.space.sample(rng) for _ in range(5)]:
        model = extract(supernet.eval(), architecture, calibrate(supernet, architecture, images))
        found = inherited_accuracy(supernet, architecture, images, split)
        assert found == pytest.approx(model_accuracy(model, split), abs=1 / 300)


def test_inherited_accuracy_leaves_the_supernet_as_it_was(supernet):
    supernet.train()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    split, images = made_up_split(50), made_up_split(64, seed=2).images
    first = inherited_accuracy(supernet, supernet.space.largest(), images, split)
    assert supernet.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert inherited_accuracy(supernet, supernet.space.largest(), images, split) == first
