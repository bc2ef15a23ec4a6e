"""How scores come about: a warp of them, amplitudes and lengths, and whether views have a part.

Errors multiply more than they add: a change that halves a bad network's error also takes a share of
a good one's. So the process sees minus the logarithm of the distance to a ceiling somewhat above
the best score, and the data say how far above; far away the warp is a straight line.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from autoscale.search.designs import Point
from autoscale.search.model.gaussian.amplitudes import without_views
from autoscale.search.model.gaussian.covariance import Inputs
from autoscale.search.model.gaussian.evidence import Evidence, fit
from autoscale.search.model.gaussian.posterior import Scores
from autoscale.search.model.gaussian.stepwise import Steps

#: Distances of the ceiling from the best score, in distances of the best from the mean.
CEILINGS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
_FIRST_CEILING = 1.0
_FLATTERY = np.log(2.0)  # by which one number more to fit improves what is fitted of anything


@dataclass(frozen=True)
class Warp:
    """Scores to numbers of mean 0 and variance 1, and back."""

    ceiling: float
    span: float
    centre: float
    spread: float

    @classmethod
    def of(cls, scores: np.ndarray, distance: float) -> "Warp":
        best = float(scores.max())
        span = best - float(np.mean(scores))
        tiny = 1e-12 * max(1.0, abs(best))  # what is left of equal scores by rounding
        if span <= tiny:
            span = float(np.std(scores))
            span = span if span > tiny else 1.0
        plain = cls(best + distance * span, span, 0.0, 1.0)
        warped = plain.forward(scores)
        spread = float(warped.std())
        return replace(plain, centre=float(warped.mean()), spread=spread if spread > 1e-12 else 1.0)

    def forward(self, scores: np.ndarray) -> np.ndarray:
        return (-np.log((self.ceiling - scores) / self.span) - self.centre) / self.spread

    def backward(self, mean: np.ndarray, variance: np.ndarray | float = 0.0) -> np.ndarray:
        """The mean score, where the warped one is normal."""
        wide = np.minimum(self.spread**2 * variance, 2.0)
        return self.ceiling - self.span * np.exp(-(self.spread * mean + self.centre) + 0.5 * wide)

    def backward_along(
        self, mean: np.ndarray, variance: np.ndarray, shift: np.ndarray, steps: np.ndarray
    ) -> Iterator[np.ndarray]:
        """`backward(mean + step * shift, variance)` for evenly spaced `steps`.

        From one step to the next all distances to the ceiling change by the same factors.
        """
        apart = self.ceiling - self.backward(mean + steps[0] * shift, variance)
        factor = np.exp(-self.spread * (steps[1] - steps[0]) * shift)
        for _ in steps:
            yield self.ceiling - apart
            apart *= factor

    def slope(self, scores: np.ndarray) -> np.ndarray:
        """By how much `forward` stretches small differences at `scores`."""
        return 1 / ((self.ceiling - scores) * self.spread)


@dataclass(frozen=True)
class Observations:
    """Different networks with the mean, number and squared deviations of their scores."""

    points: list[Point]
    mean: np.ndarray
    count: np.ndarray
    squares: np.ndarray

    def only(self, rows: np.ndarray) -> "Observations":
        points = [self.points[row] for row in rows]
        return Observations(points, self.mean[rows], self.count[rows], self.squares[rows])

    def warped(self, warp: Warp) -> Scores:
        """Means are taken before warping: what is wanted is a mean, and the warp favours luck."""
        scatter = np.sum(self.squares * warp.slope(self.mean) ** 2)
        return Scores(warp.forward(self.mean), self.count, float(scatter))


@dataclass(frozen=True)
class Explanation:
    """A way to explain scores.

    Attributes:
        theta: amplitudes and lengths.
        distance: of the ceiling.
        loss: minus the logarithm of how probable scores and theta are, up to a constant.
    """

    theta: np.ndarray
    distance: float
    loss: float


@dataclass(frozen=True)
class Explanations:
    """The best way to explain scores, and where there are views that which leaves them out."""

    best: Explanation
    without_views: Explanation | None = None

    @property
    def trust(self) -> float:
        """How probable it is that the views have a part in the scores, if both were as probable
        before."""
        if self.without_views is None:
            return 1.0
        ahead = self.without_views.loss - self.best.loss - _FLATTERY
        return float(1 / (1 + np.exp(-np.clip(ahead, -50, 50))))

    def at(self, least_trust: float) -> Explanation:
        """The one with views where `trust` is at least `least_trust`."""
        if self.without_views is None or self.trust >= least_trust:
            return self.best
        return self.without_views


def explanations(inputs: Inputs, tried: Observations) -> Steps[Explanations]:
    """What explains the scores best; where there are views, with them and without."""
    found = yield from _explanation(inputs, tried)
    if inputs.views is None:
        return Explanations(found)
    plain = yield from _explanation(replace(inputs, views=None), tried)
    return Explanations(found, replace(plain, theta=without_views(plain.theta)))


def _explanation(inputs: Inputs, tried: Observations) -> Steps[Explanation]:
    """Amplitudes at a middling ceiling, the best ceiling for these, the amplitudes for that."""
    evidence = Evidence(inputs)
    warps = {distance: Warp.of(tried.mean, distance) for distance in CEILINGS}
    scores = {distance: tried.warped(warp) for distance, warp in warps.items()}
    stretched = {
        distance: float(np.sum(tried.count * np.log(warp.slope(tried.mean))))
        for distance, warp in warps.items()
    }
    theta = yield from fit(evidence, scores[_FIRST_CEILING])
    losses = dict(zip(CEILINGS, evidence.losses(theta, list(scores.values())), strict=True))
    distance = min(CEILINGS, key=lambda one: losses[one] - stretched[one])
    loss = losses[distance]
    if distance != _FIRST_CEILING:
        theta = yield from fit(evidence, scores[distance])
        (loss,) = evidence.losses(theta, [scores[distance]])
    return Explanation(theta, distance, loss - stretched[distance])
