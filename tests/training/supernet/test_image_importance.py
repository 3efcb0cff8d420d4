import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.supernet.supernet import Supernet
from nas.training.supernet.image_importance import MOST_IMPORTANCE, draw_images, gradient_norms


def test_norms_are_those_of_the_gradients_by_the_logits(toy, images):
    torch.manual_seed(0)
    supernet, labels = Supernet(toy), torch.arange(8)
    before = {name: each.clone() for name, each in supernet.state_dict().items()}
    halves = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    found = gradient_norms(supernet, toy.largest(), halves)
    assert found.shape == (8,)
    twin = supernet.twin().train()
    for start, (some, theirs) in zip((0, 4), halves, strict=True):
        logits = twin(some, toy.largest()).detach().requires_grad_()
        F.cross_entropy(logits, theirs, reduction="sum").backward()
        assert found[start : start + 4] == pytest.approx(logits.grad.norm(dim=1).numpy(), rel=1e-5)
    assert all(torch.equal(before[name], each) for name, each in supernet.state_dict().items())


def test_images_are_drawn_by_norms_the_more_the_later_and_none_is_lost():
    norms = np.array([1.0, 3.0] * 5000)
    for done in (0.0, 0.5, 1.0):
        drawn = draw_images(norms, done, np.random.default_rng(0))
        share = done * MOST_IMPORTANCE
        assert len(drawn) == 10000
        assert np.mean(drawn % 2) == pytest.approx(0.5 + share * 0.25, abs=0.02)
    assert len(draw_images(np.zeros(7), 1.0, np.random.default_rng(0))) == 7
