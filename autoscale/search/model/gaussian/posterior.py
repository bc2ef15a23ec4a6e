"""A Gaussian process over designs, small enough to read.

Formulas: Rasmussen and Williams 2006, chapters 2 and 5.

Symbols, for n designs that were trained and m others:

    theta              (8,)    see `amplitudes`
    K = covariance     (n, n)  prior covariance of what the designs are worth
    S = scatter        (n,)    noise variance / trainings behind each mean score, and its doubt
    L                  (n, n)  Cholesky factor, L L^T = K + diag(S)
    inverse_cholesky   (n, n)  L^-1, lower triangular, so L^-T L^-1 = (K + diag(S))^-1
    y = scores.mean    (n,)    standardised scores
    weights            (n,)    (K + diag(S))^-1 y
    cross              (n, m)  prior covariance of trained and other designs
    explained          (n, m)  L^-1 cross; its squares are the variance that the scores explain
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from autoscale.search.model.gaussian.amplitudes import noise_variance
from autoscale.search.model.gaussian.covariance import (
    Inputs,
    PriorCovariance,
    covariance,
    prior_variance,
)
from autoscale.search.model.gaussian.inverse_cholesky import CholeskyCache, InverseCholesky

JITTER = 1e-8
_LEAST = 1e-12  # variance


@dataclass(frozen=True)
class Scores:
    """Mean scores of designs that were trained once or several times.

    Attributes:
        mean: shape (designs,).
        count: trainings behind each mean.
        scatter: sum over designs of squared distances of single scores from their mean.
        doubt: shape (designs,) or one number; variance of each mean besides that of the trainings.
    """

    mean: np.ndarray
    count: np.ndarray
    scatter: float
    doubt: np.ndarray | float = 0.0

    def __getitem__(self, rows: np.ndarray) -> "Scores":
        doubt = self.doubt[rows] if isinstance(self.doubt, np.ndarray) else self.doubt
        return Scores(self.mean[rows], self.count[rows], self.scatter, doubt)


@dataclass(frozen=True)
class Posterior:
    """What is known after `scores` of `inputs`."""

    theta: np.ndarray
    inputs: Inputs
    scores: Scores
    scatter: np.ndarray
    inverse_cholesky: InverseCholesky
    weights: np.ndarray

    @classmethod
    def of(
        cls, theta: np.ndarray, inputs: Inputs, scores: Scores, cache: CholeskyCache | None = None
    ) -> "Posterior":
        """The posterior of `scores`; `cache` remembers what the next one may share with it."""
        scatter = noise_variance(theta) / scores.count + scores.doubt + JITTER
        inverse_cholesky = (cache or CholeskyCache()).of(theta, inputs, scatter)
        weights = inverse_cholesky.solve(scores.mean)
        return cls(theta, inputs, scores, scatter, inverse_cholesky, weights)

    @cached_property
    def prior(self) -> PriorCovariance:
        """Of the inputs with others."""
        return PriorCovariance(self.theta, self.inputs)

    def at_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of what the inputs themselves are worth, without their covariance."""
        return self._at_inputs

    @cached_property
    def _at_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        variance = self.scatter - self.scatter**2 * self.inverse_cholesky.column_squares()
        return self.scores.mean - self.scatter * self.weights, np.maximum(variance, _LEAST)

    def at_own(self, rows: np.ndarray) -> "Predictions":
        """The same of some of the inputs, with what their covariance needs.

        The posterior covariance of the inputs is S - S (K + S)^-1 S, and that with other designs
        S (K + S)^-1 cross: no covariance of the prior is asked for.
        """
        mean, variance = self.at_inputs()
        scatter = self.scatter[rows]
        explained = self.inverse_cholesky.columns(rows) * -scatter
        return Predictions(
            self.theta, self.inputs[rows], mean[rows], variance[rows], explained, scatter
        )

    def at(self, designs: Inputs) -> "Predictions":
        """Mean and variance of what `designs` are worth."""
        cross = self.prior.of(designs)
        explained = self.inverse_cholesky.times(cross)
        variance = prior_variance(self.theta, designs) - np.einsum("ij,ij->j", explained, explained)
        return Predictions(
            self.theta,
            designs,
            self.weights @ cross,
            np.maximum(variance, _LEAST),
            explained,
            np.zeros(len(designs)),
        )


@dataclass(frozen=True)
class Predictions:
    """Mean and variance of some designs' worth, and what their covariance needs."""

    theta: np.ndarray
    designs: Inputs
    mean: np.ndarray
    variance: np.ndarray
    _explained: np.ndarray
    _scatter: np.ndarray  # of those that are the posterior's own inputs; 0 of others

    def __getitem__(self, rows: np.ndarray) -> "Predictions":
        return replace(
            self,
            designs=self.designs[rows],
            mean=self.mean[rows],
            variance=self.variance[rows],
            _explained=self._explained[:, rows],
            _scatter=self._scatter[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Predictions one after the other; all must belong to one posterior."""
        return cls(
            parts[0].theta,
            Inputs.joined([part.designs for part in parts]),
            np.concatenate([part.mean for part in parts]),
            np.concatenate([part.variance for part in parts]),
            np.concatenate([part._explained for part in parts], axis=1),
            np.concatenate([part._scatter for part in parts]),
        )

    def covariance(self) -> np.ndarray:
        """Shape (designs, designs)."""
        prior = covariance(self.theta, self.designs, self.designs)
        own = np.flatnonzero(self._scatter)
        prior[own], prior[:, own] = 0.0, 0.0
        prior[own, own] = self._scatter[own]
        return prior - self._explained.T @ self._explained
