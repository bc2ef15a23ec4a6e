"""How likely designs keep the constraints that trials tell (`trial.set_constraint`).

Each constraint is a number, kept where it is at most 0. It is learnt as scores are, by a Gaussian
process of its own, on a scale that leaves 0 where it is and tames large numbers.

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
_FAR = 20.0  # of a constraint on the tamed scale; infinite ones are there


@dataclass(frozen=True)
class Chances:
    """What the trials so far say about the constraints of any design."""

    history: History
    learnt: tuple[FittedModel, ...]  # for each constraint, more being better

    def of(self, points: Sequence[Point]) -> np.ndarray:
        """Logarithms of the probability that each of `points` keeps all constraints."""
        total = np.zeros(len(points))
        for learnt in self.learnt:
            predicted, warp = learnt.predict(points), learnt.warp
            # Where all trials broke the constraint the warp may end below 0.
            edge = warp.forward(np.array(min(0.0, warp.ceiling - 1e-6 * warp.span)))
            total += _log_normal((predicted.mean - edge) / np.sqrt(predicted.variance))
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
        self._predictors: dict[str, Predictor] = {}

    def learn(self, history: History) -> Chances | None:
        """What `history` says of constraints; None if no trial has any."""
        names = sorted({name for told in history.constraints for name in told})
        learnt = []
        for name in names:
            rows = [row for row, told in enumerate(history.constraints) if name in told]
            values = np.array([history.constraints[row][name] for row in rows])
            predictor = self._predictors.setdefault(name, Predictor(self.designs))
            learnt.append(predictor.learn([history.points[row] for row in rows], -_tamed(values)))
        return Chances(history, tuple(learnt)) if learnt else None


def _tamed(values: np.ndarray) -> np.ndarray:
    """`values` on a scale that is nearly straight up to their usual size and logarithmic beyond."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    # A power of ten, so that it stays as it is from one trial to the next.
    scale = 10.0 ** np.round(np.log10(np.median(sizes))) if len(sizes) else 1.0
    return np.clip(np.arcsinh(values / scale), -_FAR, _FAR)


def _log_normal(values: np.ndarray) -> np.ndarray:
    """The logarithm of the standard normal distribution function."""
    return np.array(
        [
            log(0.5 * erfc(-z / sqrt(2))) if z > -6 else -0.5 * (z * z + log(2 * pi)) - log(-z)
            for z in values.tolist()
        ]
    )
