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

from dataclasses import dataclass, replace

import numpy as np

from autoscale.search.model.triangles import lower_inverse, lower_product

PARTS = ("linear", "choices", "smooth", "local", "own", "noise")
#: What the logarithms of the amplitudes and of the two lengths are before any data: mean and
#: standard deviation, for scores of variance 1. "own" is relative to the noise.
PRIOR_MEAN = np.array([-0.5, 0.0, -1.0, -1.0, -0.35, -1.9, 0.0, -0.7])
PRIOR_SD = np.array([1.0, 1.0, 1.0, 1.0, 0.3, 1.0, 0.7, 0.7])
#: The same of the amplitude of the views.
VIEWS_MEAN, VIEWS_SD = 0.0, 1.0
OWN, NOISE, SMOOTH_LENGTH, LOCAL_LENGTH, VIEWS = 4, 5, 6, 7, 8
_CONSTANT = 4.0  # variance of the level of all scores
JITTER = 1e-8
_WAVES = 96  # cosines that stand for a smooth or a local function
_BLOCK = 32  # designs whose part of a covariance is worked out together


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
    total, local = curved_parts(theta, pairs)
    total += local
    return with_flat_parts(theta, pairs, total, spare=local)


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
    total += _CONSTANT
    return total


def prior_of(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of `theta` before any scores."""
    if len(theta) == len(PRIOR_MEAN):
        return PRIOR_MEAN, PRIOR_SD
    return np.append(PRIOR_MEAN, VIEWS_MEAN), np.append(PRIOR_SD, VIEWS_SD)


def noise_variance(theta: np.ndarray) -> float:
    """Variance of one training around what a design is worth."""
    return float(np.exp(2 * theta[NOISE]))


def variances(theta: np.ndarray) -> np.ndarray:
    logs = theta[:6].copy()
    logs[OWN] += theta[NOISE]
    return np.exp(2 * logs)


def views_variance(theta: np.ndarray) -> float:
    return float(np.exp(2 * theta[VIEWS]))


def _prior_variance(theta: np.ndarray, inputs: Inputs) -> np.ndarray:
    linear, choices, smooth, local, own = variances(theta)[:5]
    columns = max(inputs.features.shape[1], 1)
    flat = _CONSTANT + smooth + local + own
    total: np.ndarray = (
        flat
        + linear * np.sum(inputs.features**2, axis=1) / columns
        + choices * np.sum(inputs.code**2, axis=1)
    )
    if inputs.views is not None:
        total += views_variance(theta) * np.mean(inputs.views**2, axis=1)
    return total


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
        noise = noise_variance(theta) / scores.count + scores.doubt + JITTER
        inverse_cholesky = (cache or CholeskyCache()).of(theta, inputs, noise)
        weights = inverse_cholesky.T @ (inverse_cholesky @ scores.mean)
        return cls(theta, inputs, scores, inverse_cholesky, weights)

    def at_inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of what the inputs themselves are worth, without their covariance."""
        noise = noise_variance(self.theta) / self.scores.count + self.scores.doubt + JITTER
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


class SampledFunction:
    """A function of designs drawn from a posterior: one of those that the scores allow.

    A function of the prior, made of random weights and waves, plus what it misses of the scores
    carried on by the covariance (Wilson et al. 2020, pathwise conditioning; the waves are those of
    Rahimi and Recht 2007). So it can be asked of any designs, one after the other, and no root is
    needed for it. What belongs to a network alone is drawn for the networks that were trained; of
    others it is left out.
    """

    def __init__(self, posterior: Posterior, rng: np.random.Generator) -> None:
        theta, inputs = posterior.theta, posterior.inputs
        linear, choices, smooth, local, own, noise = variances(theta)
        features, codes = inputs.features.shape[1], inputs.code.shape[1]
        wide = np.sqrt(max(features, 1))
        self._posterior = posterior
        self._level = np.sqrt(_CONSTANT) * rng.normal()
        self._of_features = np.sqrt(linear) / wide * rng.normal(size=features)
        self._of_codes = np.sqrt(choices) * rng.normal(size=codes)
        self._smooth = _Waves(features, wide * np.exp(theta[SMOOTH_LENGTH]), smooth, rng)
        # A code has length 1, so a share of agreeing choices is a distance of codes.
        self._local = _Waves(codes, np.exp(0.5 * theta[LOCAL_LENGTH]), local, rng)
        self._of_views = np.zeros(0)
        if inputs.views is not None:
            count = inputs.views.shape[1]
            self._of_views = np.sqrt(views_variance(theta) / count) * rng.normal(size=count)
        drawn = np.sqrt(own) * rng.normal(size=len(inputs))
        self._own = dict(zip(inputs.network.tolist(), drawn.tolist(), strict=True))
        scatter = noise / posterior.scores.count + posterior.scores.doubt + JITTER
        missed = posterior.scores.mean - self._before(inputs)
        missed -= np.sqrt(scatter) * rng.normal(size=len(inputs))
        root = posterior.inverse_cholesky
        self._weights = root.T @ (root @ missed)

    def at(self, designs: Inputs) -> np.ndarray:
        """Warped worth of designs under this function."""
        pairs = Pairs.of(self._posterior.inputs, designs)
        correction: np.ndarray = self._weights @ covariance(self._posterior.theta, pairs)
        return correction + self._before(designs)

    def _before(self, designs: Inputs) -> np.ndarray:
        """The function of the prior."""
        found: np.ndarray = self._level + designs.features @ self._of_features
        found += designs.code @ self._of_codes
        found += self._smooth.at(designs.features) + self._local.at(designs.code)
        if designs.views is not None:
            found += designs.views @ self._of_views
        return found + np.array([self._own.get(one, 0.0) for one in designs.network.tolist()])


class _Waves:
    """A random function whose covariance is about variance * exp(-distance^2 / (2 length^2))."""

    def __init__(
        self, inputs: int, length: float, variance: float, rng: np.random.Generator
    ) -> None:
        self._directions = rng.normal(size=(inputs, _WAVES)) / length
        self._phases = rng.uniform(0, 2 * np.pi, _WAVES)
        self._heights = np.sqrt(2 * variance / _WAVES) * rng.normal(size=_WAVES)

    def at(self, places: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.cos(places @ self._directions + self._phases) @ self._heights
        return found


def _squares(matrix: np.ndarray) -> np.ndarray:
    """The sum of squares of each column."""
    return np.einsum("ij,ij->j", matrix, matrix)
