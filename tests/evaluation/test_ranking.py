from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from nas.evaluation.ranking import rank_agreement, spearman
from nas.statistics import resampled_tau


def test_equal_orders_agree_wholly_and_reversed_ones_not_at_all():
    values = [0.91, 0.93, 0.95, 0.97]
    same, other = rank_agreement(values, values, seed=0), rank_agreement(values, values[::-1], seed=0)
    assert (same.kendall_tau, same.spearman, same.high) == (1.0, 1.0, 1.0)
    assert (other.kendall_tau, other.spearman, other.low) == (-1.0, -1.0, -1.0)


def test_tau_is_the_share_of_pairs_in_order_less_that_of_the_others():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 15))
    pairs = [np.sign((first[i] - first[j]) * (second[i] - second[j])) for i, j in combinations(range(15), 2)]
    assert rank_agreement(first, second, seed=0).kendall_tau == pytest.approx(np.mean(pairs))


def test_with_ties_in_every_draw_both_are_those_of_scipy():
    rng = np.random.default_rng(5)
    x, y = rng.integers(6, size=(2, 12)).astype(float)
    draws = rng.integers(12, size=(20, 12))
    for draw, tau, rho in zip(draws, resampled_tau(x, y, draws), spearman(x, y, draws), strict=True):
        assert tau == pytest.approx(kendalltau(x[draw], y[draw]).statistic)
        assert rho == pytest.approx(spearmanr(x[draw], y[draw]).statistic)


def test_the_interval_holds_the_figure_and_narrows_with_more_networks():
    rng = np.random.default_rng(2)
    widths = []
    for count in (8, 32, 128):
        alone = rng.normal(size=count)
        found = rank_agreement(alone + 0.5 * rng.normal(size=count), alone, seed=0)
        assert found.low < found.kendall_tau < found.high and found.spearman_low < found.spearman < found.spearman_high
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2]


def test_about_one_interval_in_twenty_misses_the_truth():
    rng = np.random.default_rng(3)
    truth = 2 / np.pi * np.arcsin(0.8)  # of a normal pair with correlation 0.8
    held = 0
    for _ in range(60):
        first, noise = rng.normal(size=(2, 24))
        found = rank_agreement(first, 0.8 * first + 0.6 * noise, seed=0)
        held += found.low <= truth <= found.high
    assert held >= 50


def test_a_judgement_that_orders_nothing_agrees_with_none():
    found = rank_agreement([0.5, 0.5, 0.5], [0.1, 0.2, 0.3], seed=0)
    assert (found.kendall_tau, found.low, found.high, found.n) == (0.0, -1.0, 1.0, 3)


def test_the_same_seed_gives_the_same_interval():
    first, second = np.random.default_rng(4).normal(size=(2, 12))
    assert rank_agreement(first, second, 7) == rank_agreement(first, second, 7) != rank_agreement(first, second, 8)


def test_a_few_networks_in_the_same_order_are_not_certain():
    found = rank_agreement([1, 2, 3, 4], [1, 2, 3, 4], seed=0)
    assert (found.kendall_tau, found.low, found.high) == (1.0, -1.0, 1.0)
    assert found.spearman == pytest.approx(1) and found.spearman_low < 0.5 < found.spearman_high
    twelve, many = (rank_agreement(list(range(n)), list(range(n)), seed=0) for n in (12, 60))
    assert 0.8 < twelve.low < many.low < 1.0 == twelve.high
