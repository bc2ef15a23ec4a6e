"""Draws from a posterior that is known up to a constant, of few parameters.

Tempered sequential Monte Carlo (Del Moral, Doucet & Jasra 2006): draws from the prior are led to
the posterior by powers of the likelihood that rise from 0 to 1, each as far above the one before as
leaves half of the draws worth keeping; the draws are resampled, and moved by steps of differential
evolution (ter Braak 2006) between the two halves of them, which keep the distribution as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray

#: Moves of every draw at each power of the likelihood.
MOVES = 12
#: Of a move's steps, those that go the whole way between two draws, and so between modes.
WHOLE = 0.1

Array = NDArray[np.float64]
Density = Callable[[Array], Array]


def sample(
    start: Array, log_prior: Density, log_likelihood: Density, random: np.random.Generator
) -> Array:
    """Equally likely draws from the posterior.

    Args:
        start: draws from the prior, shape (draws, parameters); at least twice as many draws as
            parameters, an even number.
        log_prior, log_likelihood: up to constants, of parameters of shape (draws, parameters).

    Returns:
        As many draws as `start` has.
    """
    draws, likelihood, power = start, log_likelihood(start), 0.0
    while power < 1:
        rise = _rise(likelihood, 1 - power)
        weights = np.exp(rise * (likelihood - likelihood.max()))
        chosen = _resampled(weights / weights.sum(), random)
        draws, likelihood = draws[chosen], likelihood[chosen]
        power = 1.0 if rise == 1 - power else power + rise
        prior = log_prior(draws)
        for _ in range(MOVES):
            order = random.permutation(len(draws))
            half = len(draws) // 2
            for own, others in ((order[:half], order[half:]), (order[half:], order[:half])):
                proposed = _proposed(draws[own], draws[others], random)
                of_prior, of_likelihood = log_prior(proposed), log_likelihood(proposed)
                gain = of_prior - prior[own] + power * (of_likelihood - likelihood[own])
                taken = np.log(random.random(len(own))) < gain
                where = own[taken]
                draws[where], prior[where] = proposed[taken], of_prior[taken]
                likelihood[where] = of_likelihood[taken]
    return draws


def _rise(likelihood: Array, most: float) -> float:
    """By how much the power rises, so that the weights are worth half of the draws."""
    apart = likelihood - likelihood.max()

    def worth(rise: float) -> float:
        weights = np.exp(rise * apart)
        return float(weights.sum() ** 2 / (weights**2).sum())

    if worth(most) >= len(likelihood) / 2:
        return most
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if worth(middle) >= len(likelihood) / 2 else (low, middle)
    return high


def _resampled(weights: Array, random: np.random.Generator) -> NDArray[np.int64]:
    """Positions in proportion to the weights, by systematic resampling."""
    places = (random.random() + np.arange(len(weights))) / len(weights)
    ends = np.cumsum(weights)
    ends[-1] = 1.0
    found: NDArray[np.int64] = np.searchsorted(ends, places, side="right")
    return np.minimum(found, len(weights) - 1)


def _proposed(own: Array, others: Array, random: np.random.Generator) -> Array:
    """Each draw moved along the difference of two draws of the other half."""
    count, size = own.shape
    one = random.integers(len(others), size=count)
    two = (one + 1 + random.integers(len(others) - 1, size=count)) % len(others)
    step = np.where(random.random(count) < WHOLE, 1.0, 2.38 / sqrt(2 * size))
    jitter = 1e-6 * random.standard_normal((count, size))
    moved: Array = own + step[:, None] * (others[one] - others[two]) + jitter
    return moved
