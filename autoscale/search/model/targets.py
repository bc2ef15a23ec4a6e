"""What a search wants of the things that have to be measured.

A goal turns the study's objectives into scores to learn, and what is predicted of designs into how
promising they are and what training them would gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from autoscale.search.batched import Measure
from autoscale.search.designs import Designs, Point
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts, accuracies
from autoscale.search.model.acquisition import Costs, Stairs, gain_of_best, gain_of_front
from autoscale.search.model.gaussian.posterior import Predictions
from autoscale.search.model.predictor import FittedModel, ImputedScores


class AcquisitionTarget(Protocol):
    """See `SingleObjective` and `FrontObjective`."""

    def scores(self, history: History) -> np.ndarray:
        """What to learn: one score for each trial of `history`, more being better."""

    def costs(self, designs: Designs, points: Sequence[Point]) -> Costs:
        """What is known or predicted of each of `points` and matters here; else 0."""

    def merit(self, scores: np.ndarray, costs: Costs) -> np.ndarray:
        """How much each of some designs would be wanted if its score were known."""

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: Costs,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        """What training each of the designs is expected to gain; see `acquisition`.

        Args:
            owned: which of them have been trained.
            adoptable: which of them keep the constraints; None if there are none.
        """

    def recommended(self, scores: np.ndarray, costs: Costs) -> list[int]:
        """Which of the designs to recommend, the best first or all along the front."""


@dataclass(frozen=True)
class SingleObjective:
    """The best of one objective, which may be a known reward of the measured and the known."""

    sign: float
    known: KnownCosts = NOTHING
    objective: int = 0  # its number

    def scores(self, history: History) -> np.ndarray:
        gains = history.gains[:, self.objective]
        if self.known.reward is None:
            return gains
        costs = self.costs(history.designs, history.points)
        return accuracies(self.known.reward, gains * self.sign, costs.mean)

    def costs(self, designs: Designs, points: Sequence[Point]) -> Costs:
        if self.known.cost is None:
            return Costs.known(np.zeros(len(points)))
        return Costs.known(designs.measured(points, self.known.cost))

    def merit(self, scores: np.ndarray, costs: Costs) -> np.ndarray:
        if self.known.reward is None:
            return scores
        spread = costs.mean.reshape(-1, *[1] * (scores.ndim - 1))
        return self.sign * self.known.reward(scores, np.broadcast_to(spread, scores.shape))

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: Costs,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        return gain_of_best(learnt, predicted, lambda scores: self.merit(scores, costs), adoptable)

    def recommended(self, scores: np.ndarray, costs: Costs) -> list[int]:
        return np.argsort(-self.merit(scores, costs), kind="stable").tolist()


class CostBelief(Protocol):
    """What is believed of the objective of a front that is not learnt as its score."""

    def of(self, designs: Designs, points: Sequence[Point]) -> Costs: ...


@dataclass(frozen=True)
class KnownCost:
    """An objective that needs no training; `sign` is 1 where it is to be maximised."""

    measure: Measure
    sign: float

    def of(self, designs: Designs, points: Sequence[Point]) -> Costs:
        return Costs.known(-self.sign * designs.measured(points, self.measure))


@dataclass(frozen=True)
class PredictedCost:
    """An objective that has to be measured, as a model of its own predicts it."""

    learnt: FittedModel

    def of(self, designs: Designs, points: Sequence[Point]) -> Costs:
        predicted = self.learnt.predict(points)
        mean, variance = predicted.mean, predicted.variance
        middle = self.learnt.hoped(mean, variance, 0.0)
        above = self.learnt.hoped(mean, variance, 1.0)
        return Costs(-self.learnt.expected(mean, variance), above - middle)


@dataclass(frozen=True)
class FrontObjective:
    """The front of two objectives: a measured one and a cost that is known or predicted.

    Attributes:
        objective: the number of the measured one.
        cost: what is believed of the other.
        stairs: the front of the trained designs.
    """

    objective: int
    cost: CostBelief
    stairs: Stairs = field(default_factory=Stairs.empty)

    def scores(self, history: History) -> np.ndarray:
        return history.gains[:, self.objective]

    def costs(self, designs: Designs, points: Sequence[Point]) -> Costs:
        return self.cost.of(designs, points)

    def with_stairs(
        self, history: History, costs: np.ndarray, expected: np.ndarray, adoptable: np.ndarray
    ) -> AcquisitionTarget:
        """The goal as it stands with the costs and `expected` scores of the trained designs, of
        which those may be on the front that are `adoptable`."""
        stairs = Stairs.of(
            costs[adoptable],
            expected[adoptable],
            worst_score=float(self.scores(history).min()),
            worst_cost=float(costs.max()),
        )
        return replace(self, stairs=stairs)

    def merit(self, scores: np.ndarray, costs: Costs) -> np.ndarray:
        """The area that each design would add to the front; where that is none, how far below the
        front it is, as a negative number."""
        area = self.stairs.added(scores, costs.mean)
        below = np.minimum(self.stairs.above(scores, costs.mean), 0.0)
        return np.where(area > 0, area, below)

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: Costs,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        return gain_of_front(
            learnt,
            predicted,
            costs,
            owned,
            adoptable,
            worst_score=self.stairs.worst_score,
            worst_cost=max(self.stairs.worst_cost, float(costs.mean.max())),
        )

    def recommended(self, scores: np.ndarray, costs: Costs) -> list[int]:
        chosen: list[int] = []
        for row in np.lexsort((-scores, costs.mean)).tolist():
            if not chosen or scores[row] > scores[chosen[-1]]:
                chosen.append(row)
        return chosen


@dataclass(frozen=True)
class Compromise:
    """One random compromise of several objectives: the augmented Tchebycheff distance.

    For three objectives or more. Source: Knowles 2006 (ParEGO).
    """

    weights: np.ndarray

    def scores(self, history: History) -> np.ndarray:
        gains = history.gains
        low, high = gains.min(axis=0), gains.max(axis=0)
        short = (high - gains) / np.where(high > low, high - low, 1.0) * self.weights
        return -(short.max(axis=1) + 0.05 * short.sum(axis=1))

    def costs(self, designs: Designs, points: Sequence[Point]) -> Costs:
        return Costs.known(np.zeros(len(points)))

    def merit(self, scores: np.ndarray, costs: Costs) -> np.ndarray:
        return scores

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: Costs,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        return gain_of_best(learnt, predicted, lambda scores: scores, adoptable)

    def recommended(self, scores: np.ndarray, costs: Costs) -> list[int]:
        return np.argsort(-scores, kind="stable").tolist()


def imputed_scores_of(
    history: History, goal: AcquisitionTarget, scores: np.ndarray
) -> ImputedScores | None:
    """What trainings that were stopped would have scored, on the scale of `scores`."""
    if not history.hints.points:
        return None
    count = len(scores)
    guessed = goal.scores(history.of_hints())[count:]
    raised = goal.scores(history.of_hints(1.0))[count:]
    return ImputedScores(
        history.hints.points,
        np.minimum(guessed, scores.max()),
        np.abs(raised - guessed),
    )


def front_of_known(signs: np.ndarray, known: KnownCosts) -> FrontObjective | None:
    """The goal of two objectives of which one is known; None if the study has others.

    Args:
        signs: of the study's objectives, 1 where they are to be maximised, else -1.
    """
    if len(signs) != 2 or len(known.values) != 1:
        return None
    ((number, measure),) = known.values.items()
    return FrontObjective(1 - number, KnownCost(measure, float(signs[number])))
