"""A Gaussian process over designs, small enough to read.

What a design scores is a sum of five parts, each with an amplitude that the data choose:

    linear   in the standardised features (log multiply-adds, ...)
    choices  one effect for each choice of each parameter
    smooth   a smooth function of the features
    local    a function of the choices in which near designs are alike: interactions
    own      what belongs to this network alone and would come back if it were trained again

and of noise that would not come back. Where there are views, what others than the scores say of a
design, the sum has one more part that is linear in them. Sums of kernels: Duvenaud et al. 2011
(additive Gaussian processes); the exponential of agreeing choices is the Hamming kernel of BOCS and
Bounce (Baptista and Poloczek 2018; Papenmeier et al. 2023). Formulas: Rasmussen and Williams 2006,
chapters 2 and 5.

Symbols, for n designs that were trained and m others:

    theta              (8,)    logarithms of the six amplitudes, in the order of PARTS, and of the
                               lengths of the smooth and of the local part; (9,) with that of the
                               views behind
    K = covariance     (n, n)  prior covariance of what the designs are worth
    S                  (n,)    noise variance / trainings behind each mean score, and its doubt
    L                  (n, n)  Cholesky factor, L L^T = K + diag(S)
    inverse_cholesky   (n, n)  L^-1, lower triangular, so L^-T L^-1 = (K + diag(S))^-1
    y = scores.mean    (n,)    standardised scores
    weights            (n,)    (K + diag(S))^-1 y
    cross              (n, m)  prior covariance of trained and other designs
    explained          (n, m)  L^-1 cross; its squares are the variance that the scores explain
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

PARTS = ("linear", "choices", "smooth", "local", "own", "noise")
#: What the logarithms of the amplitudes and of the two lengths are before any data: mean and
#: standard deviation, for scores of variance 1. "own" is relative to the noise.
PRIOR_MEAN = np.array([-0.5, 0.0, -1.0, -1.0, -0.35, -1.9, 0.0, -0.7])
PRIOR_SD = np.array([1.0, 1.0, 1.0, 1.0, 0.3, 1.0, 0.7, 0.7])
#: The same of the amplitude of the views.
VIEWS_MEAN, VIEWS_SD = 0.0, 1.0
_OWN, _NOISE, _SMOOTH_LENGTH, _LOCAL_LENGTH, _VIEWS = 4, 5, 6, 7, 8
_CONSTANT = 4.0  # variance of the level of all scores
_JITTER = 1e-8
_BLOCK = 128  # designs whose part of a covariance is worked out together
_LEAF = 16  # rows of a triangle that are inverted as any matrix


@dataclass(frozen=True)
class Inputs:
    """Designs in numbers.

    Attributes:
        code: shape (designs, columns); the product of two rows is the share of equal choices.
        features: shape (designs, features), standardised.
        network: shape (designs,), equal for designs that are one network.
        views: shape (designs, views), standardised; None if there are none.
    """

    code: np.ndarray
    features: np.ndarray
    network: np.ndarray
    views: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.network)

    def __getitem__(self, rows: np.ndarray | slice) -> "Inputs":
        views = None if self.views is None else self.views[rows]
        return Inputs(self.code[rows], self.features[rows], self.network[rows], views)

    def joined(self, other: "Inputs") -> "Inputs":
        return Inputs(
            np.concatenate([self.code, other.code]),
            np.concatenate([self.features, other.features]),
            np.concatenate([self.network, other.network]),
            None
            if self.views is None or other.views is None
            else np.concatenate([self.views, other.views]),
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


def covariance(theta: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Prior covariance of what the designs are worth, noise left out."""
    total, local = _curved_parts(theta, pairs)
    total += local
    return _with_flat_parts(theta, pairs, total, spare=local)


# In place: new arrays of this size cost more than the arithmetic.


def _curved_parts(theta: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """The smooth and the local part of a covariance."""
    _, _, smooth, local, _, _ = _variances(theta)
    smooth_part = pairs.distance * (-0.5 * np.exp(-2 * theta[_SMOOTH_LENGTH]))
    np.exp(smooth_part, out=smooth_part)
    smooth_part *= smooth
    local_part = pairs.agreement - 1
    local_part *= np.exp(-theta[_LOCAL_LENGTH])
    np.exp(local_part, out=local_part)
    local_part *= local
    return smooth_part, local_part


def _with_flat_parts(
    theta: np.ndarray, pairs: Pairs, total: np.ndarray, *, spare: np.ndarray
) -> np.ndarray:
    """`total` and the other parts, in its place; `spare` of the same shape is overwritten."""
    linear, choices, _, _, own, _ = _variances(theta)
    for amplitude, share in (
        (linear, pairs.linear),
        (choices, pairs.agreement),
        (own, pairs.same),
    ):
        np.multiply(share, amplitude, out=spare)
        total += spare
    if pairs.views is not None:
        np.multiply(pairs.views, _views_variance(theta), out=spare)
        total += spare
    total += _CONSTANT
    return total


def _prior_of(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of `theta` before any scores."""
    if len(theta) == len(PRIOR_MEAN):
        return PRIOR_MEAN, PRIOR_SD
    return np.append(PRIOR_MEAN, VIEWS_MEAN), np.append(PRIOR_SD, VIEWS_SD)


def noise_variance(theta: np.ndarray) -> float:
    """Variance of one training around what a design is worth."""
    return float(np.exp(2 * theta[_NOISE]))


def _variances(theta: np.ndarray) -> np.ndarray:
    logs = theta[:6].copy()
    logs[_OWN] += theta[_NOISE]
    return np.exp(2 * logs)


def _views_variance(theta: np.ndarray) -> float:
    return float(np.exp(2 * theta[_VIEWS]))


def _prior_variance(theta: np.ndarray, inputs: Inputs) -> np.ndarray:
    linear, choices, smooth, local, own = _variances(theta)[:5]
    columns = max(inputs.features.shape[1], 1)
    flat = _CONSTANT + smooth + local + own
    total: np.ndarray = (
        flat
        + linear * np.sum(inputs.features**2, axis=1) / columns
        + choices * np.sum(inputs.code**2, axis=1)
    )
    if inputs.views is not None:
        total += _views_variance(theta) * np.mean(inputs.views**2, axis=1)
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
        linear, choices, _, _, own, noise = _variances(theta)
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
                0.5 * (smooth_part @ pairs.distance) * np.exp(-2 * theta[_SMOOTH_LENGTH]),
                0.5 * (local_slope - local_part @ pairs.agreement) * np.exp(-theta[_LOCAL_LENGTH]),
            ]
        )
        if pairs.views is not None:
            gradient = np.append(gradient, _views_variance(theta) * (slope @ pairs.views))
        mean, deviation = _prior_of(theta)
        return value, gradient + (theta - mean) / deviation**2

    def _root(
        self, theta: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
        """The inverse Cholesky factor of scores, half the logarithm of the covariance's
        determinant, and the smooth and the local part."""
        smooth_part, local_part = _curved_parts(theta, self._pairs)
        total = smooth_part + local_part
        _with_flat_parts(theta, self._pairs, total, spare=np.empty_like(total))
        whole = self._whole.reshape(-1)
        whole[self._places] = total
        whole[self._diagonal] += noise_variance(theta) / count + _JITTER
        lower = np.linalg.cholesky(self._whole)  # which reads the lower triangle only
        return lower_inverse(lower), np.log(np.diag(lower)).sum(), smooth_part, local_part

    @staticmethod
    def _value(
        theta: np.ndarray, whitened: np.ndarray, determinant: float, scores: Scores
    ) -> float:
        mean, deviation = _prior_of(theta)
        from_prior = (theta - mean) / deviation
        return float(
            0.5 * (whitened @ whitened)
            + determinant
            + np.sum(scores.count - 1) * theta[_NOISE]
            + 0.5 * scores.scatter / noise_variance(theta)
            + 0.5 * (from_prior @ from_prior)
        )


def fit(evidence: Evidence, scores: Scores, *, steps: int = 20) -> np.ndarray:
    """The most probable amplitudes and lengths, given scores of about mean 0 and variance 1."""
    return minimise(lambda theta: evidence.loss(theta, scores), evidence.start, steps=steps)


class CholeskyCache:
    """Roots of the inverse covariance of scores, block by block.

    From one trial to the next, designs are added behind those already there. So what belongs to
    whole blocks is remembered, and only the last block is worked out anew. A root that is made from
    nothing goes through the same blocks and has the same bits.
    """

    def __init__(self) -> None:
        self._theta = np.zeros(0)
        self._inputs: Inputs | None = None
        self._noise = np.zeros(0)
        self._inverse_cholesky = np.zeros((0, 0))

    def of(self, theta: np.ndarray, inputs: Inputs, noise: np.ndarray) -> np.ndarray:
        """Shape (designs, designs), lower triangular; transposed and multiplied with itself it is
        the inverse of the prior covariance plus `noise` on the diagonal.

        Raises:
            LinAlgError: if that is not positive definite.
        """
        inverse_cholesky = self._remembered(theta, inputs, noise)
        for stop in range(len(inverse_cholesky) + _BLOCK, len(inputs) + 1, _BLOCK):
            inverse_cholesky = _extended(inverse_cholesky, theta, inputs[:stop], noise[:stop])
        whole = slice(len(inverse_cholesky))
        self._theta, self._inputs, self._noise = theta, inputs[whole], noise[whole]
        self._inverse_cholesky = inverse_cholesky
        if len(inverse_cholesky) == len(inputs):
            return inverse_cholesky
        return _extended(inverse_cholesky, theta, inputs, noise)

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
        if known.views is not None and inputs.views is not None:
            equal &= (known.views[:count] == inputs.views[:count]).all(axis=1)
        same = count if equal.all() else int(equal.argmin())
        same -= same % _BLOCK
        return np.ascontiguousarray(self._inverse_cholesky[:same, :same])


def _extended(
    known: np.ndarray, theta: np.ndarray, inputs: Inputs, noise: np.ndarray
) -> np.ndarray:
    """The inverse Cholesky factor of all inputs from that of the first ones, `known`: a step of
    Cholesky's method by blocks."""
    old, new = slice(len(known)), slice(len(known), len(inputs))
    cross = covariance(theta, Pairs.of(inputs[new], inputs[old])) @ known.T
    corner = covariance(theta, Pairs.of(inputs[new], inputs[new])) - cross @ cross.T
    corner[np.diag_indices_from(corner)] += noise[new]
    root = lower_inverse(np.linalg.cholesky(corner))
    grown = np.zeros((len(inputs), len(inputs)))
    grown[old, old] = known
    grown[new, old] = -(root @ cross) @ known
    grown[new, new] = root
    return grown


@dataclass(frozen=True)
class Posterior:
    """What is known after `scores` of `inputs`."""

    theta: np.ndarray
    inputs: Inputs
    scores: Scores
    inverse_cholesky: np.ndarray  # its product with itself transposed is the inverse covariance
    weights: np.ndarray

    @classmethod
    def of(
        cls, theta: np.ndarray, inputs: Inputs, scores: Scores, cache: CholeskyCache | None = None
    ) -> "Posterior":
        """The posterior of `scores`; `cache` remembers what the next one may share with it."""
        noise = noise_variance(theta) / scores.count + scores.doubt + _JITTER
        inverse_cholesky = (cache or CholeskyCache()).of(theta, inputs, noise)
        weights = inverse_cholesky.T @ (inverse_cholesky @ scores.mean)
        return cls(theta, inputs, scores, inverse_cholesky, weights)

    def at_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of what the inputs themselves are worth, without their covariance."""
        noise = noise_variance(self.theta) / self.scores.count + self.scores.doubt + _JITTER
        variance = noise - noise**2 * _squares(self.inverse_cholesky)
        return self.scores.mean - noise * self.weights, np.maximum(variance, 1e-12)

    def at(self, designs: Inputs) -> "Predictions":
        """Mean and variance of what `designs` are worth."""
        cross = covariance(self.theta, Pairs.of(self.inputs, designs))
        explained = lower_product(self.inverse_cholesky, cross)
        variance = _prior_variance(self.theta, designs) - _squares(explained)
        return Predictions(
            self.theta, designs, self.weights @ cross, np.maximum(variance, 1e-12), explained
        )


@dataclass(frozen=True)
class Predictions:
    """Mean and variance of some designs' worth, and what their covariance needs."""

    theta: np.ndarray
    designs: Inputs
    mean: np.ndarray
    variance: np.ndarray
    _explained: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Predictions":
        return replace(
            self,
            designs=self.designs[rows],
            mean=self.mean[rows],
            variance=self.variance[rows],
            _explained=self._explained[:, rows],
        )

    def joined(self, other: "Predictions") -> "Predictions":
        """The predictions of both one after the other; both must belong to one posterior."""
        return Predictions(
            self.theta,
            self.designs.joined(other.designs),
            np.append(self.mean, other.mean),
            np.append(self.variance, other.variance),
            np.concatenate([self._explained, other._explained], axis=1),
        )

    def covariance(self) -> np.ndarray:
        prior = covariance(self.theta, Pairs.of(self.designs, self.designs))
        return prior - self._explained.T @ self._explained


def _squares(matrix: np.ndarray) -> np.ndarray:
    """The sum of squares of each column."""
    return np.einsum("ij,ij->j", matrix, matrix)


def lower_product(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A lower triangular matrix times another, its zeros left out."""
    if len(lower) <= _BLOCK:
        return lower @ right
    cut = len(lower) // 2
    product = np.empty((len(lower), right.shape[1]))
    product[:cut] = lower_product(lower[:cut, :cut], right[:cut])
    product[cut:] = lower_product(lower[cut:, cut:], right[cut:])
    product[cut:] += lower[cut:, :cut] @ right[:cut]
    return product


def lower_inverse(lower: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix, by halves; numpy has none of its own."""
    size = len(lower)
    if size > _BLOCK:
        cut = size // 2
        return _from_halves(
            lower_inverse(lower[:cut, :cut]), lower[cut:, :cut], lower_inverse(lower[cut:, cut:])
        )
    # Leaves all along the diagonal at once, then those of twice their size, and so on.
    count, width = 1, _LEAF
    while count * width < size:
        count *= 2
    padded = np.eye(count * width)
    padded[:size, :size] = lower
    blocks = padded.reshape(count, width, count, width).swapaxes(1, 2)
    leaves = np.arange(count)
    inverse = np.tril(np.linalg.inv(blocks[leaves, leaves]))
    while len(inverse) > 1:
        count, width = len(inverse), inverse.shape[-1]
        blocks = padded.reshape(count, width, count, width).swapaxes(1, 2)
        upper = np.arange(0, count, 2)
        inverse = _from_halves(inverse[::2], blocks[upper + 1, upper], inverse[1::2])
    return inverse[0, :size, :size]


def _from_halves(top: np.ndarray, below: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Inverses of triangular matrices, from those of their halves and what stands below the first;
    shapes (..., rows, columns)."""
    cut, size = top.shape[-1], top.shape[-1] + bottom.shape[-1]
    inverse = np.zeros((*top.shape[:-2], size, size))
    inverse[..., :cut, :cut] = top
    inverse[..., cut:, cut:] = bottom
    np.negative(bottom @ (below @ top), out=inverse[..., cut:, :cut])
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
