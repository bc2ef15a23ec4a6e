"""Which amplitudes and lengths of a Gaussian process explain some scores best.

Symbols: those of `posterior`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autoscale.search.model.gaussian.amplitudes import (
    CONSTANT,
    LOCAL_LENGTH,
    NOISE,
    PRIOR_MEAN,
    SMOOTH_LENGTH,
    VIEWS_MEAN,
    noise_variance,
    prior_of,
    variances,
    views_variance,
)
from autoscale.search.model.gaussian.covariance import Inputs
from autoscale.search.model.gaussian.posterior import JITTER, Scores
from autoscale.search.model.gaussian.stepwise import Steps
from autoscale.search.model.gaussian.triangles import lower_inverse


@dataclass(frozen=True)
class Pairs:
    """How alike each design of one list is to each of another, before any amplitude."""

    linear: np.ndarray
    agreement: np.ndarray
    distance: np.ndarray
    same: np.ndarray
    views: np.ndarray | None = None

    @classmethod
    def of(cls, one: Inputs, other: Inputs) -> "Pairs":
        columns = max(one.features.shape[1], 1)
        linear = one.features @ other.features.T / columns
        squares = [np.sum(x.features**2, axis=1) / columns for x in (one, other)]
        distance = linear * -2
        distance += squares[0][:, None]
        distance += squares[1][None]
        np.maximum(distance, 0.0, out=distance)
        same = one.network[:, None] == other.network[None]
        views = None
        if one.views is not None and other.views is not None:
            views = one.views @ other.views.T / one.views.shape[1]
        return cls(linear, one.code @ other.code.T, distance, same, views)


# In place: new arrays of this size cost more than the arithmetic.


def curved_parts(theta: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """The smooth and the local part of a covariance."""
    _, _, smooth, local, _, _ = variances(theta)
    smooth_part = pairs.distance * (-0.5 * np.exp(-2 * theta[SMOOTH_LENGTH]))
    np.exp(smooth_part, out=smooth_part)
    smooth_part *= smooth
    local_part = pairs.agreement - 1
    local_part *= np.exp(-theta[LOCAL_LENGTH])
    np.exp(local_part, out=local_part)
    local_part *= local
    return smooth_part, local_part


def with_flat_parts(
    theta: np.ndarray, pairs: Pairs, total: np.ndarray, *, spare: np.ndarray
) -> np.ndarray:
    """`total` and the other parts, in its place; `spare` of the same shape is overwritten."""
    linear, choices, _, _, own, _ = variances(theta)
    for amplitude, share in (
        (linear, pairs.linear),
        (choices, pairs.agreement),
        (own, pairs.same),
    ):
        np.multiply(share, amplitude, out=spare)
        total += spare
    if pairs.views is not None:
        np.multiply(pairs.views, views_variance(theta), out=spare)
        total += spare
    total += CONSTANT
    return total


class Evidence:
    """How well amplitudes and lengths explain scores of `inputs`.

    Everything symmetric is kept as the row after row of its lower triangle: half the arithmetic,
    and arrays small enough to be had without asking the system for memory.

    Sources: Rasmussen and Williams 2006, equations 5.8 and 5.9; repeats enter by their mean and
    their scatter, which together are all that they say (Binois et al. 2018, section 2.2).

    Its methods raise LinAlgError where the covariance is not positive definite.
    """

    def __init__(self, inputs: Inputs) -> None:
        size = len(inputs)
        pairs = Pairs.of(inputs, inputs)
        self._rows, self._columns = np.tril_indices(size)
        self._places = self._rows * size + self._columns
        self._diagonal = np.arange(size) * (size + 1)
        # An entry below the diagonal stands for the one above it as well.
        self._copies = np.where(self._rows == self._columns, 1.0, 2.0)
        self._pairs = Pairs(
            pairs.linear.take(self._places),
            pairs.agreement.take(self._places),
            pairs.distance.take(self._places),
            pairs.same.take(self._places).astype(float),
            None if pairs.views is None else pairs.views.take(self._places),
        )
        self._whole = np.zeros((size, size))
        self._inverse = np.zeros((size, size))

    @property
    def start(self) -> np.ndarray:
        """What is most probable before any scores."""
        return PRIOR_MEAN if self._pairs.views is None else np.append(PRIOR_MEAN, VIEWS_MEAN)

    def losses(self, theta: np.ndarray, several: Sequence[Scores]) -> list[float]:
        """Negative log posterior of `theta`, up to a constant, for several score vectors that share
        their counts of trainings."""
        inverse_cholesky, determinant, _, _ = self._root(theta, several[0].count)
        return [self._value(theta, inverse_cholesky @ s.mean, determinant, s) for s in several]

    def loss(self, theta: np.ndarray, scores: Scores) -> tuple[float, np.ndarray]:
        """Negative log posterior of `theta` and its gradient, of its shape.

        Rasmussen and Williams 2006, equations 5.8 and 5.9, and the logarithm of the prior.
        """
        pairs = self._pairs
        linear, choices, _, _, own, noise = variances(theta)
        inverse_cholesky, determinant, smooth_part, local_part = self._root(theta, scores.count)
        whitened = inverse_cholesky @ scores.mean
        value = self._value(theta, whitened, determinant, scores)
        weights = whitened @ inverse_cholesky
        inverse = np.matmul(inverse_cholesky.T, inverse_cholesky, out=self._inverse)
        on_diagonal = inverse.take(self._diagonal) - weights**2
        slope = inverse.take(self._places)
        slope -= weights.take(self._rows) * weights.take(self._columns)
        slope *= self._copies
        smooth_part *= slope
        local_part *= slope
        own_slope = own * (slope @ pairs.same)
        local_slope = local_part.sum()
        gradient = np.array(
            [
                linear * (slope @ pairs.linear),
                choices * (slope @ pairs.agreement),
                smooth_part.sum(),
                local_slope,
                own_slope,
                own_slope
                + noise * np.sum(on_diagonal / scores.count)
                + np.sum(scores.count - 1)
                - scores.scatter / noise,
                0.5 * (smooth_part @ pairs.distance) * np.exp(-2 * theta[SMOOTH_LENGTH]),
                0.5 * (local_slope - local_part @ pairs.agreement) * np.exp(-theta[LOCAL_LENGTH]),
            ]
        )
        if pairs.views is not None:
            gradient = np.append(gradient, views_variance(theta) * (slope @ pairs.views))
        mean, deviation = prior_of(theta)
        return value, gradient + (theta - mean) / deviation**2

    def _root(
        self, theta: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        """The inverse Cholesky factor of scores, half the logarithm of the covariance's
        determinant, and the smooth and the local part."""
        smooth_part, local_part = curved_parts(theta, self._pairs)
        total = smooth_part + local_part
        with_flat_parts(theta, self._pairs, total, spare=np.empty_like(total))
        whole = self._whole.reshape(-1)
        whole[self._places] = total
        whole[self._diagonal] += noise_variance(theta) / count + JITTER
        lower = np.linalg.cholesky(self._whole)  # which reads the lower triangle only
        return lower_inverse(lower), np.log(np.diag(lower)).sum(), smooth_part, local_part

    @staticmethod
    def _value(
        theta: np.ndarray, whitened: np.ndarray, determinant: float, scores: Scores
    ) -> float:
        mean, deviation = prior_of(theta)
        from_prior = (theta - mean) / deviation
        return float(
            0.5 * (whitened @ whitened)
            + determinant
            + np.sum(scores.count - 1) * theta[NOISE]
            + 0.5 * scores.scatter / noise_variance(theta)
            + 0.5 * (from_prior @ from_prior)
        )


def fit(evidence: Evidence, scores: Scores, *, steps: int = 20) -> Steps[np.ndarray]:
    """The most probable amplitudes and lengths, given scores of about mean 0 and variance 1."""
    return minimise(lambda theta: evidence.loss(theta, scores), evidence.start, steps=steps)


def minimise(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    steps: int,
    tolerance: float = 1e-3,
) -> Steps[np.ndarray]:
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno (Nocedal and Wright 2006,
    algorithm 6.1) with a backtracking line search and steps of at most 1.5 in each direction."""
    point = start.copy()
    value, gradient = function(point)
    yield
    unit = np.eye(len(point))
    inverse = 0.05 * unit
    for step in range(steps):
        direction = -inverse @ gradient
        direction *= min(1.0, 1.5 / max(np.abs(direction).max(), 1e-12))
        length, found = 1.0, None
        for _ in range(8):
            try:
                found = function(point + length * direction)
            except np.linalg.LinAlgError:
                found = None
            yield
            if found and found[0] <= value + 1e-4 * length * (direction @ gradient):
                break
            found, length = None, 0.4 * length
        if found is None:
            break
        moved, bent = length * direction, found[1] - gradient
        point, gain, (value, gradient) = point + moved, value - found[0], found
        if gain < tolerance:
            break
        curvature = moved @ bent
        if curvature > 1e-10:
            if step == 0:
                inverse = unit * curvature / (bent @ bent)
            left = unit - np.outer(moved, bent) / curvature
            inverse = left @ inverse @ left.T + np.outer(moved, moved) / curvature
    return point
