import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_spaces import Flat, Halves

from nas.search.predictor import (
    column_groups,
    describe,
    factor,
    fit_predictor,
    negative_log_posterior,
    one_hot,
)
from nas.statistics import squared_distances

SPACE = Halves()


def draw(n, seed):
    return np.random.default_rng(seed).integers(SPACE.cardinalities, size=(n, 12))


def figure(genomes):
    """Depends on active genes only: some matter much, some in pairs, some not at all."""
    active = np.where(SPACE.active(genomes), genomes, 0)
    return 3.0 * active[:, 1] + np.array([0.0, 2.0, -1.0, 1.0])[active[:, 2]] * (1 + active[:, 7]) + 0.5 * active[:, 9]


def test_features_do_not_see_inactive_genes():
    genomes = draw(200, 0)
    cleared = np.where(SPACE.active(genomes), genomes, 0)
    assert np.array_equal(describe(SPACE, genomes), describe(SPACE, cleared))
    assert len(np.unique(describe(SPACE, genomes), axis=0)) == len(np.unique(cleared[:, :11], axis=0))


def test_one_hot_columns_count_the_active_genes_that_have_a_choice():
    genomes = draw(100, 0)
    expected = SPACE.active(genomes)[:, :11].sum(axis=1)
    assert one_hot(SPACE, genomes, SPACE.active(genomes)).sum(axis=1).tolist() == expected.tolist()


def test_every_column_has_a_weight_and_every_position_one_of_its_own():
    groups = column_groups(SPACE)
    assert len(groups) == describe(SPACE, draw(1, 0)).shape[1] == sum(SPACE.cardinalities) - 1 + 8
    assert np.bincount(groups).tolist() == [2, 3, 4, 3, 2, 5, 3, 3, 3, 4, 2, *[1] * 8]


def test_the_posterior_s_gradient_is_that_of_finite_differences():
    genomes = draw(40, 0)
    targets = (figure(genomes) - figure(genomes).mean()) / figure(genomes).std()
    features, groups = describe(SPACE, genomes), column_groups(SPACE)
    point = np.random.default_rng(1).normal(-1.5, 0.5, size=groups.max() + 3)
    _, gradient = negative_log_posterior(point, features, groups, targets, -2.0)
    for i in range(len(point)):
        step = 1e-5 * np.eye(len(point))[i]
        above, below = (negative_log_posterior(point + s, features, groups, targets, -2.0)[0] for s in (step, -step))
        assert gradient[i] == pytest.approx((above - below) / 2e-5, abs=1e-5)


@given(st.integers(1, 30), st.integers(0, 5))
def test_the_factor_gives_the_inverse_and_the_determinant(n, seed):
    points = np.random.default_rng(seed).normal(size=(n, 3))
    covariance = np.exp(-0.5 * squared_distances(points, points))
    log_determinant, inverse = factor(covariance, 0.1)
    noisy = covariance + 0.1 * np.eye(n)
    assert np.allclose(inverse @ noisy, np.eye(n), atol=1e-8)
    assert log_determinant == pytest.approx(np.linalg.slogdet(noisy)[1], abs=1e-8)


def test_leave_one_out_is_what_a_fit_without_that_row_predicts():
    genomes = draw(25, 3)
    member = fit_predictor(SPACE, genomes, figure(genomes)).members[1]
    errors, variances = member.leave_one_out()
    standard = (figure(genomes) - figure(genomes).mean()) / figure(genomes).std()
    amplitude, noise = np.exp(member.scales)
    covariance = amplitude * np.exp(-0.5 * squared_distances(member.known, member.known))
    for i in (0, 7, 24):
        rest = np.arange(25) != i
        solved = np.linalg.solve(covariance[rest][:, rest] + noise * np.eye(24), covariance[rest, i])
        assert errors[i] == pytest.approx(standard[i] - solved @ standard[rest], abs=1e-6)
        assert variances[i] == pytest.approx(amplitude + noise - solved @ covariance[rest, i], abs=1e-6)


def test_predictions_are_close_and_the_spread_says_how_close():
    train, test = draw(150, 0), draw(1000, 1)
    mean, deviation = fit_predictor(SPACE, train, figure(train)).predict(test)
    error = mean - figure(test)
    assert error.std() < 0.25 * figure(test).std()
    assert 0.1 < np.sqrt(np.mean((error / deviation) ** 2)) < 1.6
    wide = deviation > np.median(deviation)
    assert np.abs(error[wide]).mean() > 1.3 * np.abs(error[~wide]).mean()


def test_it_predicts_better_than_the_nearest_neighbour_and_the_more_rows_the_better():
    test, errors = draw(500, 9), []
    for n in (30, 100, 300):
        train = draw(n, 4)
        nearest = figure(train)[squared_distances(describe(SPACE, test), describe(SPACE, train)).argmin(axis=1)]
        mean, _ = fit_predictor(SPACE, train, figure(train)).predict(test)
        errors.append(np.abs(mean - figure(test)).mean())
        assert errors[-1] < 0.6 * np.abs(nearest - figure(test)).mean()
    assert errors == sorted(errors, reverse=True)


def test_a_refit_from_a_former_fit_is_as_good_as_a_fresh_one():
    train, more, test = draw(80, 0), draw(120, 5), draw(500, 1)
    former = fit_predictor(SPACE, train, figure(train))
    rows = np.concatenate([train, more])
    errors = [
        np.abs(fit_predictor(SPACE, rows, figure(rows), start).predict(test)[0] - figure(test)).mean()
        for start in (None, former)
    ]
    assert errors[1] < 1.2 * errors[0]


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.integers(2, 12))
def test_the_unit_and_zero_of_the_figure_do_not_matter(scale, shift, n):
    train, test = draw(n, 2), draw(20, 3)
    mean, deviation = fit_predictor(SPACE, train, figure(train)).predict(test)
    other_mean, other_deviation = fit_predictor(SPACE, train, scale * figure(train) + shift).predict(test)
    assert np.allclose(other_mean, scale * mean + shift, rtol=1e-3, atol=1e-3 * scale * (1 + np.abs(mean).max()))
    assert np.allclose(other_deviation, scale * deviation, rtol=1e-2)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_rows_of_one_value_are_predicted_to_have_it(n):
    mean, deviation = fit_predictor(SPACE, draw(n, 0), [0.7] * n).predict(draw(30, 1))
    assert mean == pytest.approx(0.7)
    assert np.isfinite(deviation).all()


def test_repeated_rows_that_disagree_are_noise():
    genomes = np.repeat(draw(20, 0), 4, axis=0)
    noise = np.random.default_rng(0).normal(0, 2.0, size=80)
    mean, _ = fit_predictor(SPACE, genomes, figure(genomes) + noise).predict(genomes)
    assert np.abs(mean - figure(genomes)).mean() < 0.8 * np.abs(noise).mean()


def test_a_space_without_a_choice_is_predicted_by_the_mean():
    mean, _ = fit_predictor(Flat((1, 1)), np.zeros((3, 2), dtype=int), [1.0, 2.0, 3.0]).predict(
        np.zeros((1, 2), dtype=int)
    )
    assert mean == pytest.approx(2.0)
