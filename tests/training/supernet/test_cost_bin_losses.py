import numpy as np
import pytest
import torch

from nas.training.supernet.cost_bin_losses import LEAST_SHARE, CostBinLosses


def test_chances_are_equal_until_every_range_was_seen_and_while_no_loss_falls():
    losses = CostBinLosses(5)
    for number in (0, 2):
        losses.observe(number, 2.0)
        losses.observe(number, 1.0)
    assert losses.chances(3) == pytest.approx([1 / 3] * 3)
    losses.observe(1, 2.0)
    assert losses.chances(3)[1] == pytest.approx(LEAST_SHARE / 3)  # it has not fallen yet
    for _ in range(200):
        for number in range(3):
            losses.observe(number, 3.0)  # all rise
    assert losses.chances(3) == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_chances_follow_the_falls():
    losses = CostBinLosses(4)
    for step in range(30):
        for number in range(4):
            losses.observe(number, 5.0 - 0.01 * number * step)
    chances = losses.chances(4)
    assert chances.sum() == pytest.approx(1) and chances[0] == pytest.approx(LEAST_SHARE / 4)
    assert np.diff(chances) == pytest.approx([(1 - LEAST_SHARE) / 6] * 3)  # falls of 0, 1, 2, 3 parts


def test_restored_losses_go_on_as_they_were_and_are_their_own():
    one, other = CostBinLosses(3), CostBinLosses(3)
    one.observe(1, 2.0)
    other.restore(one.means)
    assert torch.equal(one.means, other.means)
    other.observe(1, 1.0)
    assert one.means[1, 0] == 2.0 and other.means[1, 0] == pytest.approx(1.7)
