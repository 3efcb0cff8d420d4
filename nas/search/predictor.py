"""Predicts an expensive figure of genomes, and how far it may be off: an ensemble of two Gaussian processes.

Features are one-hot genes with the inactive ones cleared and, as choices often have an order, each gene's position
among them. Both members have an RBF kernel, exp(-sum_g w_g d_g / 2), d_g the squared distance in the columns of gene g.
One weighs all alike; the other learns a weight for each gene and one for its position (automatic relevance
determination; Rasmussen and Williams 2006, chapters 2 and 5). Members count by how well they predict each evaluation
from the others, which has a closed form, and the spread is widened until it fits these errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.search.problem import DesignSpace
from nas.statistics import squared_distances

STEPS = (30, 8)  # steps of likelihood ascent at most: the first time, and when a former fit is the start
PRIOR_SPREAD = 1.0  # standard deviation of the logarithm of a gene's weight around the prior's
SCALE_PRIOR = (np.array([0.0, -4.0]), 1.5)  # log amplitude and log noise in units of the targets' variance, and spread
LEAST_LOG_NOISE = np.log(1e-4)
CALIBRATION = (1.0, 3.0)  # leave-one-out errors flatter a fit that saw them, so the spread is never made smaller


@dataclass(frozen=True, slots=True)
class Member:
    """One Gaussian process on standardised targets. `log_weights` [columns]; `scales` = log amplitude, log noise."""

    log_weights: np.ndarray
    scales: np.ndarray
    known: np.ndarray  # n columns, each scaled by the root of its weight
    solved: np.ndarray  # n: inverse covariance times targets
    inverse: np.ndarray  # n n: inverse covariance

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the noiseless figure, each [k], for features [k, columns]."""
        amplitude = np.exp(self.scales[0])
        covariance = amplitude * np.exp(-0.5 * squared_distances(features * np.exp(0.5 * self.log_weights), self.known))
        explained = np.einsum("ij,ij->i", covariance @ self.inverse, covariance)
        return covariance @ self.solved, np.maximum(amplitude - explained, 1e-9)

    def leave_one_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return error and variance, each [n], of predicting targets from the others (Rasmussen and Williams, 5.12)."""
        variance = 1.0 / np.diag(self.inverse)
        return self.solved * variance, variance


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted ensemble, in the unit of its targets."""

    space: DesignSpace
    members: tuple[Member, ...]
    shares: np.ndarray  # members: how much each counts, summing to 1
    mean: float
    spread: float
    calibration: float

    def predict(self, genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the expected figure and its standard deviation, each [k], of genomes [k, genes]."""
        features = describe(self.space, genomes)
        means, variances = (np.stack(parts) for parts in zip(*(m.predict(features) for m in self.members), strict=True))
        mean = self.shares @ means
        variance = self.shares @ (variances + (means - mean) ** 2)
        return self.mean + self.spread * mean, self.spread * self.calibration * np.sqrt(variance)


def fit_predictor(
    space: DesignSpace, genomes: np.ndarray, targets: Sequence[float] | np.ndarray, start: Predictor | None = None
) -> Predictor:
    """Fit to targets [n] of genomes [n, genes], n >= 1, beginning at the weights of a former fit if there is one."""
    targets = np.asarray(targets, dtype=float)
    mean, spread = float(targets.mean()), float(targets.std()) or 1.0
    features, groups = describe(space, genomes), column_groups(space)
    standard = (targets - mean) / spread
    members = tuple(
        fit_member(features, tied, standard, start.members[i] if start else None)
        for i, tied in enumerate((np.zeros_like(groups), groups))
    )
    errors, variances = (np.stack(parts) for parts in zip(*(member.leave_one_out() for member in members), strict=True))
    fitness = -0.5 * (errors**2 / variances + np.log(variances)).sum(axis=1)
    shares = np.exp(fitness - fitness.max())
    shares /= shares.sum()
    mixed_error = shares @ errors
    mixed_variance = shares @ (variances + (errors - mixed_error) ** 2)
    calibration = float(np.clip(np.sqrt(np.mean(mixed_error**2 / mixed_variance)), *CALIBRATION))
    return Predictor(space, members, shares, mean, spread, calibration)


def describe(space: DesignSpace, genomes: np.ndarray) -> np.ndarray:
    """Return one-hot columns, then the position of genes of three choices or more, float [n, columns].

    Positions run from 0 to 1, and are 0.5 where the gene is inactive.
    """
    cardinalities = np.asarray(space.cardinalities)
    several = np.flatnonzero(cardinalities > 2)
    active = space.active(genomes)
    places = genomes[:, several] / np.maximum(cardinalities[several] - 1, 1)
    positions = np.where(active[:, several], places, 0.5)
    return np.concatenate([one_hot(space, genomes, active), positions], axis=1)


def one_hot(space: DesignSpace, genomes: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Return indicators of the choices of genes that have several, 0 where not `active` [n, genes]; [n, columns]."""
    genes = np.repeat(np.arange(len(space.cardinalities)), space.cardinalities)
    choices = np.concatenate([np.arange(cardinality) for cardinality in space.cardinalities])
    open_ones = np.asarray(space.cardinalities)[genes] > 1
    genes, choices = genes[open_ones], choices[open_ones]
    return ((genomes[:, genes] == choices) & active[:, genes]).astype(float)


def column_groups(space: DesignSpace) -> np.ndarray:
    """Return the number of the weight of each column of `describe`: one per gene, one per position; int [columns]."""
    open_ones = [cardinality for cardinality in space.cardinalities if cardinality > 1]
    num_positions = sum(cardinality > 2 for cardinality in open_ones)
    one_hot_groups = np.repeat(np.arange(len(open_ones)), open_ones)
    return np.concatenate([one_hot_groups, len(open_ones) + np.arange(num_positions)]).astype(int)


def fit_member(features: np.ndarray, groups: np.ndarray, targets: np.ndarray, start: Member | None) -> Member:
    """Fit one weight per group of columns, the amplitude and the noise by their posterior's mode."""
    from scipy.optimize import minimize

    num_groups = int(groups.max(initial=0)) + 1
    prior = np.log(2.0 / max(1.0, features.sum(axis=1).mean()))  # genomes apart in most genes correlate by exp(-2)
    first = np.concatenate([np.full(num_groups, prior), SCALE_PRIOR[0]])
    if start is not None:
        per_group = np.zeros(num_groups)
        per_group[groups] = start.log_weights
        first = np.concatenate([per_group, start.scales])
    bounds = [(None, None)] * (num_groups + 1) + [(LEAST_LOG_NOISE, None)]
    mode = minimize(
        negative_log_posterior,
        first,
        (features, groups, targets, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS[start is not None]},
    ).x
    log_weights, scales = mode[:num_groups][groups], mode[num_groups:]
    known = features * np.exp(0.5 * log_weights)
    covariance = np.exp(scales[0]) * np.exp(-0.5 * squared_distances(known, known))
    _, inverse = factor(covariance, np.exp(scales[1]))
    return Member(log_weights, scales, known, inverse @ targets, inverse)


def negative_log_posterior(
    parameters: np.ndarray, features: np.ndarray, groups: np.ndarray, targets: np.ndarray, prior: float
) -> tuple[float, np.ndarray]:
    """Return the negative log marginal likelihood plus the parameters' priors, and its gradient.

    `parameters` = log weight of each group, log amplitude, log noise.
    """
    num_groups = len(parameters) - 2
    weights, (amplitude, noise) = np.exp(parameters[:num_groups]), np.exp(parameters[num_groups:])
    scaled = features * np.sqrt(weights)[groups]
    covariance = amplitude * np.exp(-0.5 * squared_distances(scaled, scaled))
    log_determinant, inverse = factor(covariance, noise)
    solved = inverse @ targets
    value = 0.5 * (targets @ solved + log_determinant)
    slope = 0.5 * (inverse - np.outer(solved, solved))  # by the covariance: Rasmussen and Williams, 5.9
    pull = slope * covariance
    # sum_ij pull_ij (x_i - x_j)^2 for every column x
    apart = 2 * (pull.sum(axis=1) @ features**2 - np.einsum("ij,ij->j", pull @ features, features))
    gradient = np.concatenate(
        [-0.5 * weights * np.bincount(groups, apart, num_groups), [pull.sum(), noise * np.trace(slope)]]
    )
    off = np.concatenate([parameters[:num_groups] - prior, parameters[num_groups:] - SCALE_PRIOR[0]])
    precision = np.concatenate([np.full(num_groups, PRIOR_SPREAD), np.full(2, SCALE_PRIOR[1])]) ** -2.0
    return float(value + 0.5 * (precision * off**2).sum()), gradient + precision * off


def factor(covariance: np.ndarray, noise: float) -> tuple[float, np.ndarray]:
    """Return log determinant and inverse of covariance + noise * identity, by Cholesky."""
    from scipy.linalg.lapack import dpotrf, dpotri

    triangle, failed = dpotrf(covariance + noise * np.eye(len(covariance)), lower=1)
    assert not failed, "the noise keeps the covariance positive definite"
    inverse, _ = dpotri(triangle, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    return 2 * float(np.log(np.diag(triangle)).sum()), inverse
