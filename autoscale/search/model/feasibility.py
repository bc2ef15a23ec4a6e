"""How likely designs keep the constraints that trials tell (`trial.set_constraint`).

Each constraint is a number, kept where it is at most 0. It is learnt as scores are, by a Gaussian
process of its own, on a scale that leaves 0 where it is and tames large numbers. That a trial gives
a score at all is one more: where trials of a study without a search space fail, or are pruned
without a report, others nearby will. In a search space failures are taken for accidents.

Source: Gardner et al. 2014: what a design is expected to gain counts by the probability that it
keeps the constraints, which are taken to be independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, log, pi, sqrt

import numpy as np

from autoscale.search.designs import Designs, Point
from autoscale.search.history import History
from autoscale.search.model.predictor import FittedModel, Predictor

#: The logarithm of the chance that a design keeps what it was seen to break.
BROKEN = -50.0
_LIKE = 4  # scored trials whose parameters stand in for those that a failed one did not ask for
_FAR = 20.0  # of a constraint on the tamed scale; infinite ones are there


@dataclass(frozen=True)
class Chances:
    """What the trials so far say about the constraints of any design."""

    history: History
    learnt: tuple[FittedModel, ...]  # for each constraint, more being better
    gives: FittedModel | None  # whether a trial gives a score, 1 or -1; None where all did

    def of(self, points: Sequence[Point]) -> np.ndarray:
        """Logarithms of the probability that each of `points` keeps all constraints."""
        total = np.zeros(len(points))
        for learnt in self.learnt:
            total += _log_chance(learnt, points)
        if self.gives:
            # A failure tells nothing of the score, so what is hoped of its surroundings stays high.
            # What is more likely to fail than not counts as if it had been seen to.
            chance = _log_chance(self.gives, points)
            total += np.where(chance < np.log(0.5), BROKEN + chance, chance)
        return total

    def of_trained(self, points: Sequence[Point]) -> np.ndarray:
        """Logarithms of the share of trials of each of `points` that kept all constraints; each
        must have a score."""
        kept = [self.history.kept[self.history.designs.identity(point)] for point in points]
        return np.log(np.maximum(kept, np.exp(BROKEN)))


class Feasibility:
    """Learns the constraints of a study; what it remembers only saves time."""

    def __init__(self, designs: Designs) -> None:
        self.designs = designs
        self._predictors: dict[str | None, Predictor] = {}

    def learn(self, history: History) -> Chances | None:
        """What `history` says of constraints; None if no trial has any."""
        names = sorted({name for told in history.constraints for name in told})
        learnt, gives = [], None
        for name in names:
            rows = [row for row, told in enumerate(history.constraints) if name in told]
            values = np.array([history.constraints[row][name] for row in rows])
            points = [history.points[row] for row in rows]
            learnt.append(self._predictor(name).learn(points, -_tamed(values)))
        if history.failed and self.designs.space is None:
            gave = [(n, p, 1.0) for n, p in zip(history.numbers, history.points, strict=True)]
            # What a trial did not come to ask for is not why it failed: so it is as in others.
            failed = [
                (number, point, -1.0)
                for number, ended in zip(history.failed_numbers, history.failed, strict=True)
                for point in self.designs.completed(ended, history.points[-_LIKE:])
            ]
            told = sorted([*gave, *failed])
            points = [point for _, point, _ in told]
            gives = self._predictor(None).learn(points, np.array([s for *_, s in told]))
        return Chances(history, tuple(learnt), gives) if learnt or gives else None

    def _predictor(self, constraint: str | None) -> Predictor:
        return self._predictors.setdefault(constraint, Predictor(self.designs))


def _tamed(values: np.ndarray) -> np.ndarray:
    """`values` on a scale that is nearly straight up to their usual size and logarithmic beyond."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    # A power of ten, so that it stays as it is from one trial to the next.
    scale = 10.0 ** np.round(np.log10(np.median(sizes))) if len(sizes) else 1.0
    return np.clip(np.arcsinh(values / scale), -_FAR, _FAR)


def _log_chance(learnt: FittedModel, points: Sequence[Point]) -> np.ndarray:
    """Logarithms of the probability that what is learnt is above 0."""
    predicted, warp = learnt.predict(points), learnt.warp
    # Where all trials are below 0 the warp may end there.
    edge = warp.forward(np.array(min(0.0, warp.ceiling - 1e-6 * warp.span)))
    return _log_normal((predicted.mean - edge) / np.sqrt(predicted.variance))


def _log_normal(values: np.ndarray) -> np.ndarray:
    """The logarithm of the standard normal distribution function."""
    return np.array(
        [
            log(0.5 * erfc(-z / sqrt(2))) if z > -6 else -0.5 * (z * z + log(2 * pi)) - log(-z)
            for z in values.tolist()
        ]
    )
