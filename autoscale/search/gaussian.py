"""A Gaussian process over designs, small enough to read.

What a design scores is a sum of five parts, each with an amplitude that the data choose:

    linear   in the standardised features (log multiply-adds, ...)
    choices  one effect for each choice of each parameter
    smooth   a smooth function of the features
    local    a function of the choices in which near designs are alike: interactions
    own      what belongs to this network alone and would come back if it were trained again

and of noise that would not come back. Sums of kernels: Duvenaud et al. 2011 (additive Gaussian
processes); the exponential of agreeing choices is the Hamming kernel of BOCS and Bounce (Baptista
and Poloczek 2018; Papenmeier et al. 2023). Formulas: Rasmussen and Williams 2006, chapters 2 and 5.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

PARTS = ("linear", "choices", "smooth", "local", "own", "noise")
#: What the logarithms of the amplitudes and of the two lengths are before any data: mean and
#: standard deviation, for scores of variance 1. "own" is told relative to the noise.
PRIOR_MEAN = np.array([-0.5, 0.0, -1.0, -1.0, -0.35, -1.9, 0.0, -0.7])
PRIOR_SD = np.array([1.0, 1.0, 1.0, 1.0, 0.3, 1.0, 0.7, 0.7])
_OWN, _NOISE, _SMOOTH_LENGTH, _LOCAL_LENGTH = 4, 5, 6, 7
_CONSTANT = 4.0  # variance of the level of all scores
_JITTER = 1e-8
_BLOCK = 128  # designs whose part of a covariance is worked out together


@dataclass(frozen=True)
class Inputs:
    """Designs in numbers.

    Attributes:
        code: shape (designs, columns); the product of two rows is the share of equal choices.
        features: shape (designs, features), standardised.
        network: shape (designs,), equal for designs that are one network.
    """

    code: np.ndarray
    features: np.ndarray
    network: np.ndarray

    def __len__(self) -> int:
        return len(self.network)

    def __getitem__(self, rows: np.ndarray | slice) -> "Inputs":
        return Inputs(self.code[rows], self.features[rows], self.network[rows])

    def joined(self, other: "Inputs") -> "Inputs":
        return Inputs(
            np.concatenate([self.code, other.code]),
            np.concatenate([self.features, other.features]),
            np.concatenate([self.network, other.network]),
        )


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
class Pairs:
    """How alike each design of one list is to each of another, before any amplitude."""

    linear: np.ndarray
    agreement: np.ndarray
    distance: np.ndarray
    same: np.ndarray

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
        return cls(linear, one.code @ other.code.T, distance, same)


def covariance(theta: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Prior covariance of what the designs are worth, noise left out."""
    linear, choices, smooth, local, own = _variances(theta)[:5]
    # In place: new arrays of this size cost more than the arithmetic.
    total = pairs.distance * (-0.5 * np.exp(-2 * theta[_SMOOTH_LENGTH]))
    np.exp(total, out=total)
    total *= smooth
    part = pairs.agreement - 1
    part *= np.exp(-theta[_LOCAL_LENGTH])
    np.exp(part, out=part)
    part *= local
    total += part
    for amplitude, share in (
        (linear, pairs.linear),
        (choices, pairs.agreement),
        (own, pairs.same),
    ):
        np.multiply(share, amplitude, out=part)
        total += part
    total += _CONSTANT
    return total


def noise_variance(theta: np.ndarray) -> float:
    """Variance of one training around what a design is worth."""
    return float(np.exp(2 * theta[_NOISE]))


def _variances(theta: np.ndarray) -> np.ndarray:
    logs = theta[:6].copy()
    logs[_OWN] += theta[_NOISE]
    return np.exp(2 * logs)


def _prior_variance(theta: np.ndarray, inputs: Inputs) -> np.ndarray:
    linear, choices, smooth, local, own = _variances(theta)[:5]
    columns = max(inputs.features.shape[1], 1)
    flat = _CONSTANT + smooth + local + own
    return (
        flat
        + linear * np.sum(inputs.features**2, axis=1) / columns
        + choices * np.sum(inputs.code**2, axis=1)
    )


def loss(theta: np.ndarray, pairs: Pairs, scores: Scores) -> tuple[float, np.ndarray]:
    """Minus the logarithm of evidence times prior, up to a constant, and its gradient.

    Sources: Rasmussen and Williams 2006, equations 5.8 and 5.9; repeats enter by their mean and
    their scatter, which together are all that they say (Binois et al. 2018, section 2.2).
    """
    linear, choices, smooth, local, own, noise = _variances(theta)
    smooth_part = smooth * np.exp(pairs.distance * (-0.5 * np.exp(-2 * theta[_SMOOTH_LENGTH])))
    local_part = local * np.exp((pairs.agreement - 1) * np.exp(-theta[_LOCAL_LENGTH]))
    whole = _CONSTANT + linear * pairs.linear + choices * pairs.agreement
    whole += smooth_part + local_part + own * pairs.same
    whole[np.diag_indices_from(whole)] += noise / scores.count + _JITTER
    lower = np.linalg.cholesky(whole)
    half = lower_inverse(lower)
    inverse = half.T @ half
    weights = inverse @ scores.mean
    value = 0.5 * scores.mean @ weights + np.log(np.diag(lower)).sum()
    repeats = float(np.sum(scores.count - 1))
    value += repeats * theta[_NOISE] + 0.5 * scores.scatter / noise
    slope = inverse - np.outer(weights, weights)
    smooth_slope, local_slope = slope * smooth_part, slope * local_part
    own_slope = own * np.sum(slope, where=pairs.same)
    gradient = np.array(
        [
            linear * np.vdot(slope, pairs.linear),
            choices * np.vdot(slope, pairs.agreement),
            smooth_slope.sum(),
            local_slope.sum(),
            own_slope,
            own_slope
            + noise * np.sum(np.diag(slope) / scores.count)
            + repeats
            - scores.scatter / noise,
            0.5 * np.vdot(smooth_slope, pairs.distance) * np.exp(-2 * theta[_SMOOTH_LENGTH]),
            0.5
            * (local_slope.sum() - np.vdot(local_slope, pairs.agreement))
            * np.exp(-theta[_LOCAL_LENGTH]),
        ]
    )
    from_prior = (theta - PRIOR_MEAN) / PRIOR_SD
    value += 0.5 * from_prior @ from_prior
    return float(value), gradient + from_prior / PRIOR_SD


def fit(inputs: Inputs, scores: Scores, *, steps: int = 20) -> np.ndarray:
    """The most probable amplitudes and lengths, given scores of about mean 0 and variance 1."""
    pairs = Pairs.of(inputs, inputs)
    return minimise(lambda theta: loss(theta, pairs, scores), PRIOR_MEAN, steps=steps)


class Halves:
    """Roots of the inverse covariance of scores, block by block.

    From one trial to the next, designs are added behind those already there. So what belongs to
    whole blocks is remembered, and only the last block is worked out anew. A root that is made from
    nothing goes through the same blocks and has the same bits.
    """

    def __init__(self) -> None:
        self._theta = np.zeros(0)
        self._inputs: Inputs | None = None
        self._noise = np.zeros(0)
        self._half = np.zeros((0, 0))

    def of(self, theta: np.ndarray, inputs: Inputs, noise: np.ndarray) -> np.ndarray:
        """Shape (designs, designs), lower triangular; transposed and multiplied with itself it is
        the inverse of the prior covariance plus `noise` on the diagonal.

        Raises:
            LinAlgError: if that is not positive definite.
        """
        half = self._remembered(theta, inputs, noise)
        for stop in range(len(half) + _BLOCK, len(inputs) + 1, _BLOCK):
            half = _extended(half, theta, inputs[:stop], noise[:stop])
        whole = slice(len(half))
        self._theta, self._inputs, self._noise = theta, inputs[whole], noise[whole]
        self._half = half
        return half if len(half) == len(inputs) else _extended(half, theta, inputs, noise)

    def _remembered(self, theta: np.ndarray, inputs: Inputs, noise: np.ndarray) -> np.ndarray:
        """What is known of the leading blocks."""
        known = self._inputs
        if known is None or not np.array_equal(theta, self._theta):
            return np.zeros((0, 0))
        count = min(len(known), len(inputs))
        equal = (
            (known.network[:count] == inputs.network[:count])
            & (self._noise[:count] == noise[:count])
            & (known.features[:count] == inputs.features[:count]).all(axis=1)
            & (known.code[:count] == inputs.code[:count]).all(axis=1)
        )
        same = count if equal.all() else int(equal.argmin())
        same -= same % _BLOCK
        return np.ascontiguousarray(self._half[:same, :same])


def _extended(half: np.ndarray, theta: np.ndarray, inputs: Inputs, noise: np.ndarray) -> np.ndarray:
    """`half` of the first inputs made one of all; a step of Cholesky's method by blocks."""
    old, new = slice(len(half)), slice(len(half), len(inputs))
    cross = covariance(theta, Pairs.of(inputs[new], inputs[old])) @ half.T
    corner = covariance(theta, Pairs.of(inputs[new], inputs[new])) - cross @ cross.T
    corner[np.diag_indices_from(corner)] += noise[new]
    root = lower_inverse(np.linalg.cholesky(corner))
    grown = np.zeros((len(inputs), len(inputs)))
    grown[old, old] = half
    grown[new, old] = -(root @ cross) @ half
    grown[new, new] = root
    return grown


@dataclass(frozen=True)
class Posterior:
    """What is known after `scores` of `inputs`."""

    theta: np.ndarray
    inputs: Inputs
    scores: Scores
    half: np.ndarray  # its product with itself transposed is the inverse covariance
    weights: np.ndarray

    @classmethod
    def of(
        cls, theta: np.ndarray, inputs: Inputs, scores: Scores, halves: Halves | None = None
    ) -> "Posterior":
        """Args:
        halves: remembers what the next posterior may share with this one.
        """
        noise = noise_variance(theta) / scores.count + scores.doubt + _JITTER
        half = (halves or Halves()).of(theta, inputs, noise)
        return cls(theta, inputs, scores, half, half.T @ (half @ scores.mean))

    def at_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of what the inputs themselves are worth, without their covariance."""
        noise = noise_variance(self.theta) / self.scores.count + self.scores.doubt + _JITTER
        variance = noise - noise**2 * np.sum(self.half**2, axis=0)
        return self.scores.mean - noise * self.weights, np.maximum(variance, 1e-12)

    def at(self, designs: Inputs) -> "Belief":
        """Mean and variance of what `designs` are worth."""
        cross = covariance(self.theta, Pairs.of(self.inputs, designs))
        explained = self.half @ cross
        variance = _prior_variance(self.theta, designs) - np.sum(explained**2, axis=0)
        return Belief(
            self.theta, designs, self.weights @ cross, np.maximum(variance, 1e-12), explained
        )


@dataclass(frozen=True)
class Belief:
    """Mean and variance of some designs' worth, and what their covariance needs."""

    theta: np.ndarray
    designs: Inputs
    mean: np.ndarray
    variance: np.ndarray
    _explained: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Belief":
        return replace(
            self,
            designs=self.designs[rows],
            mean=self.mean[rows],
            variance=self.variance[rows],
            _explained=self._explained[:, rows],
        )

    def covariance(self) -> np.ndarray:
        prior = covariance(self.theta, Pairs.of(self.designs, self.designs))
        return prior - self._explained.T @ self._explained


def lower_inverse(lower: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix, by halves; numpy has none of its own."""
    size = len(lower)
    if size <= 64:
        return np.tril(np.linalg.inv(lower))
    cut = size // 2
    inverse = np.zeros_like(lower)
    top = inverse[:cut, :cut] = lower_inverse(lower[:cut, :cut])
    bottom = inverse[cut:, cut:] = lower_inverse(lower[cut:, cut:])
    inverse[cut:, :cut] = -bottom @ (lower[cut:, :cut] @ top)
    return inverse


def minimise(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    steps: int,
    tolerance: float = 1e-3,
) -> np.ndarray:
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno (Nocedal and Wright 2006,
    algorithm 6.1) with a backtracking line search and steps of at most 1.5 in each direction."""
    point = start.copy()
    value, gradient = function(point)
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
