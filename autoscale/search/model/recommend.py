"""Which designs to adopt after a search: by what is predicted of them, not by one lucky trial.

The best of many noisy scores is mostly lucky. The posterior mean weighs a design's own trials with
those of designs like it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Designs, Point
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.model.feasibility import Feasibility
from autoscale.search.model.predictor import FittedModel, Predictor
from autoscale.search.model.targets import SingleObjective, imputed_scores_of
from autoscale.search.pareto import front


@dataclass(frozen=True)
class Recommendation:
    """A design and what is predicted of it.

    Attributes:
        params: its parameters in the study.
        values: expected values of the study's objectives; exact where they are known.
        deviations: standard deviations of these predictions; 0 where a value is known.
        trials: numbers of the trials that scored this network.
    """

    params: dict[str, Any]
    values: tuple[float, ...]
    deviations: tuple[float, ...]
    trials: tuple[int, ...]


def recommend(
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection],
    *,
    space: SearchSpace | None = None,
    known: KnownCosts = NOTHING,
    count: int = 1,
) -> list[Recommendation]:
    """The best `count` trained designs of one objective, the best first, or the front of several.

    Args:
        trials: of a study, such as `study.get_trials(deepcopy=False)`.
        directions: `study.directions`.
        space, known: as the samplers take them.

    Raises:
        InvalidSetting: if there is no finished trial with a score.
    """
    if space is not None:
        designs = Designs.of_space(space)
    else:
        designs = Designs.of_trials(trials, directions)
    history = History.of(trials, directions, designs)
    if not len(history):
        raise InvalidSetting("nothing to recommend: no finished trial has a score")
    estimates = Estimates.of(history, known)
    points = _within(history, known, list(history.scored.values()))
    if not points:
        raise InvalidSetting(
            "nothing to recommend: no design with a score keeps the limits and constraints"
        )
    means, deviations = estimates.at(points)
    rows = estimates.best(means)
    return [
        Recommendation(
            designs.params_of(points[row]),
            tuple(means[row].tolist()),
            tuple(deviations[row].tolist()),
            _trials_of(history, points[row]),
        )
        for row in (rows[:count] if len(directions) == 1 else rows)
    ]


@dataclass(frozen=True)
class Estimates:
    """What a study's trials say about every objective of any design."""

    history: History
    known: KnownCosts
    learnt: tuple[FittedModel | None, ...]  # for each objective; None where it is known

    @classmethod
    def of(cls, history: History, known: KnownCosts) -> "Estimates":
        learnt: list[FittedModel | None] = []
        for number, sign in enumerate(history.signs.tolist()):
            if number in known.values:
                learnt.append(None)
                continue
            goal = SingleObjective(sign, known, number)
            scores = goal.scores(history)
            guesses = imputed_scores_of(history, goal, scores)
            predictor = Predictor(history.designs, known.views.get(number, ()))
            learnt.append(predictor.learn(history.points, scores, guesses=guesses))
        return cls(history, known, tuple(learnt))

    def at(self, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
        """Expected values in the study's own directions and their standard deviations."""
        designs, signs = self.history.designs, self.history.signs
        means, deviations = [], []
        for number, learnt in enumerate(self.learnt):
            if learnt is None:
                means.append(designs.measured(points, self.known.values[number]))
                deviations.append(np.zeros(len(points)))
                continue
            predicted = learnt.predict(points)
            mean, variance = predicted.mean, predicted.variance
            middle = learnt.expected(mean, variance)
            above = learnt.hoped(mean, variance, 1.0) - learnt.hoped(mean, variance, 0.0)
            if self.known.reward is not None and self.known.cost is not None:
                costs = designs.measured(points, self.known.cost)
                above = self.known.reward(middle + above, costs) - self.known.reward(middle, costs)
                middle = self.known.reward(middle, costs)
            else:
                middle = signs[number] * middle
            means.append(middle)
            deviations.append(np.abs(above))
        return np.stack(means, axis=1), np.stack(deviations, axis=1)

    def best(self, means: np.ndarray) -> list[int]:
        """Rows of the best first; of several objectives, those on the front."""
        gains = means * self.history.signs
        if gains.shape[1] == 1:
            return np.argsort(-gains[:, 0], kind="stable").tolist()
        return front(gains, ["maximize"] * gains.shape[1]).tolist()


def _within(history: History, known: KnownCosts, points: list[Point]) -> list[Point]:
    """Those of the scored designs that keep the limits, and the constraints in most of their
    trials."""
    kept = history.designs.violations(points, known.limits) == 0
    if chances := Feasibility(history.designs).learn(history):
        kept &= chances.of_trained(points) >= np.log(0.5)
    return [point for point, keeps in zip(points, kept, strict=True) if keeps]


def _trials_of(history: History, point: Point) -> tuple[int, ...]:
    identity = history.designs.identity(point)
    return tuple(
        number
        for number, other in zip(history.numbers, history.points, strict=True)
        if history.designs.identity(other) == identity
    )
