"""What a grid's trainings say about its candidates: a Bayesian response surface.

The score of candidate i trained with seed s is a sum of four parts:

    surface(x_i)  a smooth function of the logarithms of depth, width and resolution
    own_i         what belongs to this network alone and would come back if it were trained again
    seed_s        common to all candidates: the same initial seed, the same order of the images
    noise         what would not come back

Nothing is assumed about the effects of seeds (a flat prior), so only candidates that share a seed
are compared: they are paired, and a constant added to all scores of a seed changes no difference.
The standard deviations of surface and own part, as multiples of the noise's, and the surface's
length are averaged over a grid, each combination weighted by how well it explains the scores; the
noise itself has a scale-free prior and is integrated out, which gives Student's t where scores are
few. In symbols, as used below:

    positions      (candidates, 3)       x_i: logarithms of depth, width and resolution
    information    (scored, scored)      what the trainings tell of the candidates that have scores,
                                         seeds' effects taken out, as an inverse covariance
    root           (scored, scored)      R, its symmetric square root
    signal         (scored,)             R times this is the sum of each candidate's scores, seeds'
                                         means taken out
    inner          (nodes, scored + 1, scored + 1)  R K R + 1 with the prior covariance K, for each
                                         combination of ratios and length; below it the signal
    draws          (DRAWS, candidates)   equally likely true means

Formulas: Rasmussen and Williams 2006, chapters 2 and 5; O'Hagan 1994, chapter 9, for the
normal-inverse-gamma form; Harville 1977 for the likelihood without the seeds' effects (REML).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from math import inf, isfinite, sqrt

import numpy as np

from autoscale.errors import EvaluationFailed, InvalidSetting

#: Multiply-adds grow as depth * width**2 * resolution**2: in these units equal steps cost the same.
COST_EXPONENTS = np.array([1.0, 2.0, 2.0])
#: Standard deviation of the surface over the candidates, in those of the noise.
SURFACE_RATIOS = (0.0, 0.4, 1.0, 2.5, 6.0, 15.0)
#: Standard deviation of the candidates' own parts, in those of the noise.
OWN_RATIOS = (0.0, 0.3, 0.7, 1.5)
#: The prior of these, before any score: large own parts are rare.
OWN_CHANCES = (0.3, 0.3, 0.25, 0.15)
#: How far the surface stays alike, in root mean square distances of candidates from their centre:
#: about two bumps, about a quadratic, nearly a plane.
LENGTHS = (0.6, 1.2, 3.0)
#: Equally likely surfaces that a posterior holds.
DRAWS = 2048
_NEGLIGIBLE = 0.01  # combinations that weigh less, against the heaviest, are left out


@dataclass(frozen=True, slots=True)
class Observation:
    """One training.

    Attributes:
        candidate: its row among the positions.
        score: more is better; None if the training failed.
    """

    candidate: int
    seed: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the range that holds the true value with the chance asked for."""

    mean: float
    low: float
    high: float

    @property
    def as_share(self) -> "Interval":
        """The same of a share, which no belief takes below 0 or above 1."""
        mean, low, high = (min(1.0, max(0.0, one)) for one in (self.mean, self.low, self.high))
        return Interval(mean, low, high)


@dataclass(frozen=True)
class SurfacePosterior:
    """What is known of the candidates' true means over the seeds that were used.

    Attributes:
        mean: shape (candidates,).
        draws: shape (DRAWS, candidates), equally likely true means; infinite distances from `mean`
            where `measurable` is False.
        noise_draws: shape (DRAWS,), standard deviation of one training, seed effect left out, that
            belongs to each draw.
        scores: how many scores each candidate has.
        failed: whether a training of the candidate failed.
        measurable: False as long as no two trainings share a seed; then nothing is known of the
            noise, and no two candidates can be compared.
    """

    mean: np.ndarray
    draws: np.ndarray
    noise_draws: np.ndarray
    scores: np.ndarray
    failed: np.ndarray
    measurable: bool

    @cached_property
    def noise(self) -> float:
        """Standard deviation of one training, seed effect left out; the middle of the posterior."""
        return float(np.median(self.noise_draws))

    def noise_interval(self, level: float) -> Interval:
        """The noise and how well it is known."""
        low, high = np.quantile(self.noise_draws, _tails(level))
        return Interval(self.noise, float(low), float(high))

    def interval(self, candidate: int, level: float) -> Interval:
        """The true mean of one candidate over the seeds that were used."""
        return self.contrast(np.eye(len(self.mean))[candidate], level)

    def relative(self, candidate: int, level: float) -> Interval:
        """The true mean of one candidate less that of all candidates."""
        return self.contrast(np.eye(len(self.mean))[candidate] - 1 / len(self.mean), level)

    def difference(self, one: int, other: int, level: float) -> Interval:
        """True mean of `one` less that of `other`, paired by seeds."""
        unit = np.eye(len(self.mean))
        return self.contrast(unit[one] - unit[other], level)

    def contrast(self, weights: np.ndarray, level: float) -> Interval:
        """A weighted sum of true means; `weights` has shape (candidates,).

        Raises:
            InvalidSetting: if `level` does not lie between 0 and 1.
        """
        tails = _tails(level)
        mean = float(weights @ self.mean)
        if not np.any(weights):
            return Interval(0.0, 0.0, 0.0)
        if not self.measurable:
            return Interval(mean, -inf, inf)
        low, high = np.quantile(self.draws @ weights, tails)
        return Interval(mean, float(low), float(high))

    def chance_better(self, one: int, other: int) -> float:
        """Probability that `one` is truly better than `other`; half of it where they are equal."""
        if not self.measurable:
            return 0.5
        above, below = self.draws[:, one], self.draws[:, other]
        return float(np.mean(above > below) + 0.5 * np.mean(above == below))

    @property
    def leader(self) -> int | None:
        """The candidate of the highest estimate, if one has a score and no failure; else None."""
        able = (self.scores > 0) & ~self.failed
        return int(np.argmax(np.where(able, self.mean, -inf))) if able.any() else None

    def chance_near(self, candidate: int, *, tolerance: float = 1.0) -> float:
        """Probability that no other is truly better by more than `tolerance` noises of a training.

        1 if there is no other that can be trained, 0 if no two can be compared.
        """
        others = ~self.failed
        others[candidate] = False
        if not others.any():
            return 1.0
        if not self.measurable:
            return 0.0
        ahead = self.draws[:, others].max(axis=1) - self.draws[:, candidate]
        return float(np.mean(ahead <= tolerance * self.noise_draws))

    @cached_property
    def chance_of_best(self) -> np.ndarray:
        """Probability of each candidate to be the best of those that can be trained."""
        able = ~self.failed
        if not self.measurable or not able.any():
            return able / max(able.sum(), 1)
        best = np.argmax(np.where(able, self.draws, -inf), axis=1)
        return np.bincount(best, minlength=len(self.mean)) / len(self.draws)


def infer(positions: np.ndarray, observations: Sequence[Observation]) -> SurfacePosterior:
    """What `observations` say about candidates at `positions`.

    The order of the observations and the numbers of candidates and seeds do not matter.

    Args:
        positions: shape (candidates, 3): logarithms of the effective multipliers of depth, width
            and resolution.

    Raises:
        InvalidSetting: for an observation of a candidate that is not there, a score that is not
            finite, or a pair of candidate and seed that comes twice.
        EvaluationFailed: if there is no score at all.
    """
    return _infer(_positions(positions), observations, np.empty((0, 3)))


def surface(
    positions: np.ndarray,
    observations: Sequence[Observation],
    at: np.ndarray,
    *,
    level: float = 0.9,
) -> list[Interval]:
    """The smooth part of the scores at other positions than the candidates', for a plot.

    Args:
        at: shape (places, 3), as `positions` in `infer`.

    Raises:
        InvalidSetting, EvaluationFailed: as `infer`.
    """
    posterior = _infer(_positions(positions), observations, _positions(at))
    return [posterior.interval(len(positions) + place, level) for place in range(len(at))]


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise InvalidSetting(f"the level of an interval must lie between 0 and 1, got {level}")
    return (1 - level) / 2, (1 + level) / 2


def _positions(positions: np.ndarray) -> np.ndarray:
    array = np.asarray(positions, dtype=float)
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise InvalidSetting(f"positions must have the shape (candidates, 3), got {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidSetting("positions must be finite: logarithms of multipliers above 0")
    return array


@dataclass(frozen=True)
class _Trainings:
    """Scores as sums over seeds; what they say about candidates, seed effects taken out.

    Attributes:
        information: shape (scored, scored), in units of one over the noise variance.
        root: its symmetric square root.
        signal: shape (scored,): `root` times this is the score sum that goes with `information`.
        scatter: sum of squares that no effects of candidates explain.
        freedom: scores less seeds.
        level: mean over seeds of the mean score of each.
        share: shape (scored,), weight of each candidate in `level`.
        level_variance: of `level` given the candidates, in units of the noise variance.
    """

    rows: np.ndarray
    information: np.ndarray
    root: np.ndarray
    signal: np.ndarray
    scatter: float
    freedom: int
    level: float
    share: np.ndarray
    level_variance: float

    @classmethod
    def of(cls, scored: Sequence[tuple[int, int, float]]) -> "_Trainings":
        """From (candidate, seed, score), sorted."""
        rows, candidate = np.unique([c for c, _, _ in scored], return_inverse=True)
        seeds, seed = np.unique([s for _, s, _ in scored], return_inverse=True)
        score = np.array([value for _, _, value in scored])
        present = np.zeros((len(seeds), len(rows)))
        present[seed, candidate] = 1
        per_seed = present.sum(axis=1)
        means = np.bincount(seed, score) / per_seed
        rest = score - means[seed]
        information = np.diag(present.sum(axis=0)) - present.T @ (present / per_seed[:, None])
        values, vectors = np.linalg.eigh(information)
        # One direction for each group of candidates that seeds connect is unknown.
        known = values > 1e-9 * max(values.max(), 1.0)
        roots = np.sqrt(np.where(known, values, 0.0))
        inverse_roots = np.where(known, 1 / np.where(known, roots, 1.0), 0.0)
        signal = vectors @ (inverse_roots * (vectors.T @ np.bincount(candidate, rest)))
        # Scores that agree to the last digit do not prove that there is no noise at all.
        floor = len(score) * (1e-9 * max(float(np.abs(score).max()), 1e-9)) ** 2
        return cls(
            rows=rows,
            information=information,
            root=(vectors * roots) @ vectors.T,
            signal=signal,
            scatter=max(float(rest @ rest - signal @ signal), floor),
            freedom=len(score) - len(seeds),
            level=float(means.mean()),
            share=(present / per_seed[:, None]).mean(axis=0),
            level_variance=float(np.mean(1 / per_seed) / len(seeds)),
        )


def _infer(
    positions: np.ndarray, observations: Sequence[Observation], places: np.ndarray
) -> SurfacePosterior:
    """The posterior of the candidates and, after them, of the smooth part at `places`."""
    count = len(positions)
    by_candidate: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    failed = np.zeros(count + len(places), dtype=bool)
    seen = set()
    for observation in observations:
        candidate, seed, score = observation.candidate, observation.seed, observation.score
        if not 0 <= candidate < count:
            raise InvalidSetting(f"there are {count} candidates from 0 on; got one of {candidate}")
        if (candidate, seed) in seen:
            raise InvalidSetting(f"candidate {candidate} was trained with seed {seed} twice")
        seen.add((candidate, seed))
        if score is None:
            failed[candidate] = True
        elif not isfinite(score):
            raise InvalidSetting(f"candidate {candidate}, seed {seed}: score is {score}; give None")
        else:
            by_candidate[candidate].append((seed, float(score)))
    scores = np.array([len(found) for found in by_candidate] + [0] * len(places))
    if not scores.any():
        raise EvaluationFailed(f"none of the {count} candidates has a score")

    # One order whatever the names, so that the same numbers come out to the last digit.
    order = sorted(range(count), key=lambda c: (positions[c].tolist(), sorted(by_candidate[c])))
    trainings = _Trainings.of(
        [(row, *found) for row, c in enumerate(order) for found in sorted(by_candidate[c])]
    )
    mean, draws, noise = _posterior(positions[order], places, trainings)
    back = np.concatenate([np.argsort(order), np.arange(count, count + len(places))])
    return SurfacePosterior(
        mean=mean[back],
        draws=draws[:, back],
        noise_draws=noise,
        scores=scores,
        failed=failed,
        measurable=trainings.freedom > 0,
    )


def _smooth(positions: np.ndarray, places: np.ndarray, length: float) -> np.ndarray:
    """Prior covariance of the surface at candidates, then places; candidates' mean variance is 1.

    Their mean is taken out, for the level of all scores is no part of the surface.
    """
    count = len(positions)
    x = np.concatenate([positions, places]) * COST_EXPONENTS
    x = x - x[:count].mean(axis=0)
    radius = sqrt(np.sum(x[:count] ** 2) / count)
    if radius < 1e-9:
        return np.zeros((len(x), len(x)))
    squares = np.sum((x[:, None] - x[None]) ** 2, axis=2) / radius**2
    kernel = np.exp(-0.5 * squares / length**2)
    kernel -= kernel[:, :count].mean(axis=1, keepdims=True)
    kernel -= kernel[:count].mean(axis=0, keepdims=True)
    return kernel / (np.trace(kernel[:count, :count]) / count)


def _posterior(
    positions: np.ndarray, places: np.ndarray, trainings: _Trainings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, draws and the draws' noise for candidates, then places."""
    count, total = len(positions), len(positions) + len(places)
    if trainings.freedom == 0:
        flat = np.full(total, trainings.level)
        return flat, np.full((DRAWS, total), np.nan), np.full(DRAWS, np.nan)
    kernels = np.stack([_smooth(positions, places, length) for length in LENGTHS])
    own = np.diag((np.arange(total) < count).astype(float))
    nodes = _nodes()
    rows, root, signal = trainings.rows, trainings.root, trainings.signal

    # With K the prior covariance of the scored candidates: root K root + 1, for all nodes. Below it
    # the signal, so that one decomposition gives determinant and sum of squares.
    size = len(rows)
    inner = np.zeros((len(nodes.log_prior), size + 1, size + 1))
    bases = np.stack([root @ kernel[np.ix_(rows, rows)] @ root for kernel in kernels])
    inner[:, :size, :size] = bases[nodes.length] * nodes.surface[:, None, None] ** 2
    inner[:, :size, :size] += nodes.own[:, None, None] ** 2 * trainings.information + np.eye(size)
    inner[:, size, :size] = signal
    inner[:, size, size] = 1 + signal @ signal
    lower = np.linalg.cholesky(inner)
    scatter = trainings.scatter + np.sum(lower[:, size, :size] ** 2, axis=1)
    log_weight = -np.log(np.diagonal(lower, axis1=1, axis2=2)[:, :size]).sum(axis=1)
    log_weight += nodes.log_prior - 0.5 * trainings.freedom * np.log(scatter)
    weight = np.exp(log_weight - log_weight.max())
    weight[weight < _NEGLIGIBLE] = 0

    # Draws are shared out in proportion to the weights. Neighbouring draws are mirror images, so
    # that equal candidates look equal.
    upto = np.cumsum(weight / weight.sum())
    upto[-1] = 1
    used, which = np.unique(
        np.searchsorted(upto, (np.arange(DRAWS // 2) + 0.5) / (DRAWS // 2)), return_inverse=True
    )
    prior = kernels[nodes.length[used]] * nodes.surface[used, None, None] ** 2
    prior += nodes.own[used, None, None] ** 2 * own
    cross = prior[:, :, rows] @ root
    solved = np.linalg.solve(
        inner[used, :size, :size],
        np.concatenate([np.swapaxes(cross, 1, 2), _columns(signal, len(used))], axis=2),
    )
    explained = cross @ solved
    mean, covariance = explained[:, :, -1], prior - explained[:, :, :-1]

    # From effects to true means over the seeds used: the level is known given the effects.
    share = np.zeros(total)
    share[rows] = trainings.share
    mean = trainings.level + mean - (mean @ share)[:, None]
    with_level = covariance @ share
    covariance -= with_level[:, :, None] + with_level[:, None, :]
    covariance += (with_level @ share + trainings.level_variance)[:, None, None]
    jitter = 1e-10 * np.maximum(np.trace(covariance, axis1=1, axis2=2) / total, 1e-10)
    covariance += jitter[:, None, None] * np.eye(total)
    lower = np.linalg.cholesky(covariance)

    normal, chi_square = _standard_draws(total, trainings.freedom)
    noise = np.sqrt(scatter[used][which] / chi_square)
    bounds = np.searchsorted(which, np.arange(len(used) + 1))
    around = np.concatenate(
        [normal[a:b] @ lower[node].T for node, (a, b) in enumerate(pairwise(bounds))]
    )
    around *= noise[:, None]
    centre = mean[which]
    draws = np.stack([centre + around, centre - around], axis=1).reshape(DRAWS, total)
    share_of_draws = np.bincount(which) / len(which)
    return share_of_draws @ mean, draws, np.repeat(noise, 2)


@dataclass(frozen=True)
class _Nodes:
    """Combinations of ratios and lengths, with the logarithms of their prior weights."""

    surface: np.ndarray
    own: np.ndarray
    length: np.ndarray
    log_prior: np.ndarray


def _columns(vector: np.ndarray, count: int) -> np.ndarray:
    return np.broadcast_to(vector[:, None], (count, len(vector), 1))


@lru_cache
def _nodes() -> _Nodes:
    # Without a surface its length says nothing: one node stands for all.
    found = [
        (surface, own, length, chance if surface else chance * len(LENGTHS))
        for surface, (own, chance), length in product(
            SURFACE_RATIOS, zip(OWN_RATIOS, OWN_CHANCES, strict=True), range(len(LENGTHS))
        )
        if surface or not length
    ]
    surface, own, length, prior = (np.array(column) for column in zip(*found, strict=True))
    return _Nodes(surface, own, length, np.log(prior))


@lru_cache(maxsize=256)
def _standard_draws(columns: int, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal numbers, shape (DRAWS / 2, columns), and chi-square numbers of `freedom`
    degrees, shape (DRAWS / 2,); every call gives the same ones."""
    normal = np.random.default_rng([columns]).standard_normal((DRAWS // 2, columns))
    chi_square = np.random.default_rng([freedom]).chisquare(freedom, DRAWS // 2)
    return normal, chi_square
