"""What a design would score, learnt from those tried: a Gaussian process on warped scores."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoscale.search.designs import Designs, Point
from autoscale.search.knowledge import View
from autoscale.search.model.explanation import Explanations, Observations, Warp, explanations
from autoscale.search.model.gaussian.amplitudes import noise_variance
from autoscale.search.model.gaussian.covariance import Inputs
from autoscale.search.model.gaussian.inverse_cholesky import CholeskyCache
from autoscale.search.model.gaussian.posterior import Posterior, Predictions, Scores
from autoscale.search.model.gaussian.stepwise import Stepwise
from autoscale.search.model.leading import last_milestone

_FIT_ON = 128  # trials from which amplitudes are learnt
_PREDICT_FROM = 800  # trials from which designs are predicted
_PROMPT = 100  # trials up to which amplitudes are learnt at once
_LATE = 25  # of so many trials one goes by before what later ones say is used
_STEPS = 8  # evaluations of the evidence between two trials
_REFERENCE = 256  # random designs that set the scale of the features


@dataclass(frozen=True)
class FittedModel:
    """What the trials so far say about any design."""

    warp: Warp
    posterior: Posterior
    predictor: "Predictor"
    trained: tuple[Point, ...]  # one design for each network that it learnt from

    def predict(self, points: Sequence[Point]) -> Predictions:
        """Warped worth of designs."""
        return self.posterior.at(self.predictor.inputs(points))

    def expected(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Mean scores, of a warped worth."""
        return self.warp.backward(mean, variance)

    def hoped(self, mean: np.ndarray, variance: np.ndarray, deviations: float) -> np.ndarray:
        """The scores `deviations` standard deviations above the middle, of a warped worth."""
        return self.warp.backward(mean + deviations * np.sqrt(variance))

    def of_trained(self) -> tuple[list[Point], np.ndarray, np.ndarray]:
        """The networks learnt from, with mean and variance of their warped worth."""
        count = len(self.trained)
        mean, variance = self.posterior.at_inputs()
        return list(self.trained), mean[:count], variance[:count]

    @property
    def noise(self) -> float:
        """Variance of one training, warped."""
        return noise_variance(self.posterior.theta)


class Predictor:
    """Learns from scored designs.

    Amplitudes and ceiling are learnt again whenever the trials have grown by a tenth, from the
    trials up to there, and remembered. They follow from those trials alone, so a predictor made
    anew says the same. Behind the first hundred trials that takes long, so it is done bit by bit,
    and the result is used from some trials later on.
    """

    def __init__(self, designs: Designs, views: Sequence[View] = ()) -> None:
        self.designs = designs
        self.views = views
        self._settings: tuple[Hashable, Explanations] | None = None
        self._begun: tuple[Hashable, Stepwise[Explanations]] | None = None
        self._tried_inputs: tuple[list[Point], Inputs] | None = None
        self._identities: tuple[list[Point], list[int]] = ([], [])
        self._cholesky = CholeskyCache()
        rng = np.random.default_rng(0)
        sample = designs.all_random(_REFERENCE, rng)
        self._features = _Scale.of(np.array([designs.describe(p).features for p in sample]))
        self._seen = _Scale.of(self._raw_views(sample)) if views else None

    def __getstate__(self) -> dict[str, Any]:
        # A copy begins its learning anew, and comes to the same.
        return {**self.__dict__, "_begun": None}

    def inputs(self, points: Sequence[Point]) -> Inputs:
        found = self.designs.numbers(points)
        return Inputs(
            found.codes,
            self._features(found.features),
            found.identities,
            self._seen(self._raw_views(points)) if self._seen else None,
        )

    def _raw_views(self, points: Sequence[Point]) -> np.ndarray:
        return np.stack([view.of(self.designs, points) for view in self.views], axis=1)

    def _inputs_of_tried(self, points: list[Point]) -> Inputs:
        """`inputs` of scored designs; most were there at the last trial and are remembered."""
        known, found = self._tried_inputs or ([], None)
        if found is None or points[: len(known)] != known:
            found = self.inputs(points)
        elif len(points) > len(known):
            found = Inputs.joined([found, self.inputs(points[len(known) :])])
        self._tried_inputs = (points, found)
        return found

    def _identities_of(self, points: list[Point]) -> list[int]:
        """The network of each of `points`, of which most were there at the last trial."""
        known, found = self._identities
        shared = min(len(known), len(points))
        if known[:shared] != points[:shared]:
            known, found, shared = [], [], 0
        if len(points) > len(known):
            found = found + [self.designs.identity(point) for point in points[shared:]]
            self._identities = (list(points), found)
        return found[: len(points)]

    def learn(
        self,
        points: Sequence[Point],
        scores: np.ndarray,
        running: Sequence[Point] = (),
        guesses: "ImputedScores | None" = None,
        least_trust: float = 0.5,
    ) -> FittedModel:
        """Predict from `scores`, more being better, of `points`.

        Views have a part where it is at least as probable as `least_trust` that they agree: at a
        half where it is more probable than not. Drawn evenly from 0 to 1 for each trial it gives
        them a part in as many trials as it is probable.


        Guesses weigh the less the more they are in doubt. Amplitudes are not learnt from them.
        Designs in `running` count as tried with the score that was expected of them, so that no
        other trial is sent to learn the same (Ginsbourger et al. 2010, the kriging believer).
        """
        explanation = self._explain(points, scores).at(least_trust)
        theta = explanation.theta
        tried = self._tried(points, scores)
        warp = Warp.of(tried.mean, explanation.distance)
        inputs, warped, chosen = (
            self._inputs_of_tried(tried.points),
            tried.warped(warp),
            tried.points,
        )
        if len(chosen) > _PREDICT_FROM:
            rows = _spread_over(tried.mean, _PREDICT_FROM)
            inputs, warped, chosen = inputs[rows], warped[rows], [chosen[row] for row in rows]
        if guesses and guesses.points:
            room = max(_PREDICT_FROM - len(chosen), 0)
            hints = guesses.last(room)
            inputs = Inputs.joined([inputs, self.inputs(hints.points)])
            warped = Scores(
                np.concatenate([warped.mean, warp.forward(hints.scores)]),
                np.concatenate([warped.count, np.ones(len(hints.points))]),
                warped.scatter,
                np.concatenate(
                    [np.zeros(len(chosen)), (warp.slope(hints.scores) * hints.doubts) ** 2]
                ),
            )
        posterior = Posterior.of(theta, inputs, warped, self._cholesky)
        if running:
            more = self.inputs(running)
            posterior = Posterior.of(
                theta,
                Inputs.joined([inputs, more]),
                Scores(
                    np.concatenate([warped.mean, posterior.at(more).mean]),
                    np.concatenate([warped.count, np.ones(len(running))]),
                    warped.scatter,
                    warped.doubt
                    if isinstance(warped.doubt, float)
                    else np.concatenate([warped.doubt, np.zeros(len(running))]),
                ),
                self._cholesky,
            )
        return FittedModel(warp, posterior, self, tuple(chosen))

    def _explain(self, points: Sequence[Point], scores: np.ndarray) -> Explanations:
        newest = last_milestone(len(points))
        used = newest if _is_due(newest, len(points)) else last_milestone(newest - 1)
        key = _key(points, scores, used)
        if self._settings is None or self._settings[0] != key:
            self._settings = (key, self._begin(points, scores, used).result())
        if used < newest:
            self._begin(points, scores, newest).go_on(_STEPS)
        return self._settings[1]

    def _begin(
        self, points: Sequence[Point], scores: np.ndarray, count: int
    ) -> Stepwise[Explanations]:
        """Learning from the first `count` trials, as far as it has come."""
        key = _key(points, scores, count)
        if self._begun is None or self._begun[0] != key:
            tried = self._tried(points[:count], scores[:count])
            tried = tried.only(_spread_over(tried.mean, _FIT_ON))
            steps = explanations(self.inputs(tried.points), tried)
            self._begun = (key, Stepwise(steps))
        return self._begun[1]

    def _tried(self, points: Sequence[Point], scores: np.ndarray) -> "Observations":
        rows: dict[int, int] = {}
        first: list[Point] = []
        row_of = np.empty(len(points), dtype=int)
        for place, one in enumerate(self._identities_of(list(points))):
            row = row_of[place] = rows.setdefault(one, len(rows))
            if row == len(first):
                first.append(points[place])
        count = np.bincount(row_of)
        mean = np.bincount(row_of, scores) / count
        squares = np.bincount(row_of, (scores - mean[row_of]) ** 2)
        return Observations(first, mean, count, squares)


@dataclass(frozen=True)
class _Scale:
    """Columns of numbers to mean 0 and variance 1, as a sample had them."""

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, sample: np.ndarray) -> "_Scale":
        spread = sample.std(axis=0)
        return cls(sample.mean(axis=0), np.where(spread > 1e-9, spread, 1.0))

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers - self.centre) / self.spread


@dataclass(frozen=True)
class ImputedScores:
    """Scores of different networks that were not measured; `doubts` are standard deviations.

    None may be above the best score that was measured.
    """

    points: list[Point]
    scores: np.ndarray
    doubts: np.ndarray

    def last(self, count: int) -> "ImputedScores":
        start = max(len(self.points) - count, 0)
        return ImputedScores(self.points[start:], self.scores[start:], self.doubts[start:])


def _is_due(milestone: int, count: int) -> bool:
    """Whether what was learnt from the first `milestone` of `count` trials is used."""
    return milestone <= _PROMPT or count >= milestone + milestone // _LATE


def _key(points: Sequence[Point], scores: np.ndarray, count: int) -> Hashable:
    return (tuple(points[:count]), scores[:count].tobytes())


def _spread_over(scores: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows: the better half of them the best, the others spread over the rest."""
    if len(scores) <= most:
        return np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    best, rest = order[: most // 2], order[most // 2 :]
    steps = np.linspace(0, len(rest) - 1, most - len(best)).round().astype(int)
    return np.sort(np.concatenate([best, rest[steps]]))
