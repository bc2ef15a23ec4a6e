"""What trainings say of the law of their error.

The errors of trainings on the same validation images go together: an image that is hard for one is
hard for most. Their covariance over other images of the kind is taken from which images each
training answered wrong; to its diagonal comes the noise of seeds, which repeats and the distances
from the law tell. So a difference of two errors is as sure as the images that are answered
differently make it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscale.advice.law import VARIED, Amounts, Array, Law
from autoscale.advice.sampling import sample
from autoscale.errors import InvalidSetting

#: Equally likely laws that a posterior holds.
DRAWS = 2048
#: Trainings below which nothing is said.
LEAST = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A training and how often it was wrong on the validation images.

    Attributes:
        error: share of the images answered wrong, each counted by its weight.
        wrong: which images were answered wrong, shape (images,); None where that was not kept.
    """

    amounts: Amounts
    error: float
    wrong: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and the range that holds the true value with the chance asked for."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LawPosterior:
    """What is known of a law: equally likely parameters, shape (draws, law.size)."""

    law: Law
    parameters: Array

    def errors(self, amounts: Amounts) -> Array:
        """Equally likely expected errors of a training, shape (draws,)."""
        return self.law.errors(self.parameters, self.law.positions([amounts]))[:, 0]

    def gains(self, amounts: Amounts) -> Array:
        """By how much the error falls from the base to other amounts, shape (draws,)."""
        return self.errors(self.law.base) - self.errors(amounts)

    def varies(self, amounts: Amounts) -> bool:
        """Whether trainings vary whatever differs between the base and other amounts."""
        base = self.law.base
        return all(
            axis in self.law.axes
            for axis, name in VARIED.items()
            if getattr(base, name) != getattr(amounts, name)
        )


def interval(draws: Array, level: float) -> Interval:
    """Mean and interval of equally likely values.

    Raises:
        InvalidSetting: if `level` does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise InvalidSetting(f"the level of an interval must lie between 0 and 1, got {level}")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=float(draws.mean()), low=float(low), high=float(high))


def fit_law(
    measured: Sequence[Measured],
    base: Amounts,
    *,
    weights: Array,
    ceiling: float = 1.0,
    draws: int | None = None,
    seed: int = 0,
) -> LawPosterior:
    """The posterior of the law around a base; the same arguments give the same draws.

    Args:
        weights: how much each validation image counts, shape (images,); their sum is 1.
        ceiling: the error of a network that has learned nothing, in 0..1.
        draws: that the posterior holds, an even number; None is `DRAWS`.

    Raises:
        InvalidSetting: for fewer than `LEAST` trainings, or none that differ.
    """
    if len(measured) < LEAST:
        raise InvalidSetting(f"a law needs at least {LEAST} trainings, got {len(measured)}")
    law = Law.of(base, [one.amounts for one in measured], ceiling=ceiling)
    if not law.axes:
        raise InvalidSetting("a law needs trainings that differ; all of these got the same")
    positions = law.positions([one.amounts for one in measured])
    errors = np.array([one.error for one in measured])
    values, vectors = np.linalg.eigh(covariance(measured, weights))
    values = np.maximum(values, 0)

    def log_likelihood(parameters: Array) -> Array:
        apart = (errors - law.errors(parameters, positions)) @ vectors
        variance = values + law.noise(parameters)[:, None] ** 2
        found: Array = -0.5 * (apart**2 / variance + np.log(variance)).sum(axis=1)
        return found

    random = np.random.default_rng(seed)
    start = law.drawn(DRAWS if draws is None else draws, random)
    return LawPosterior(law=law, parameters=sample(start, law.log_prior, log_likelihood, random))


def covariance(measured: Sequence[Measured], weights: Array) -> Array:
    """Of the trainings' errors over other validation images, shape (trainings, trainings).

    Trainings whose answers were not kept are taken to go with the others as these do with each
    other on average; where none were kept, all are taken apart.
    """
    known = [i for i, one in enumerate(measured) if one.wrong is not None]
    errors = np.array([one.error for one in measured])
    spread = float(np.sum(weights**2))  # 1 / images where all count the same
    # As if two more images had been answered, one of them wrong, so that no error has no variance.
    eased = (errors + spread) / (1 + 2 * spread)
    variance = np.maximum(eased * (1 - eased), errors * (1 - errors)) * spread
    together = np.zeros((len(measured), len(measured)))
    if known:
        wrong = np.array([measured[i].wrong for i in known], dtype=float)
        apart = (wrong - errors[known][:, None]) * weights
        own = apart @ apart.T
        together[np.ix_(known, known)] = own
        scale = np.sqrt(np.maximum(np.diag(own), 1e-300))
        related = own / np.outer(scale, scale)
        pairs = len(known) * (len(known) - 1)
        usual = max(0.0, float(related.sum() - np.trace(related)) / pairs) if pairs else 0.0
        others = np.setdiff1d(np.arange(len(measured)), known)
        deviations = np.sqrt(variance)
        like = usual * np.outer(deviations, deviations)
        together[others] = like[others]
        together[:, others] = like[:, others]
    np.fill_diagonal(together, np.maximum(np.diag(together), variance))
    return together
