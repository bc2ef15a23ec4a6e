"""What a search wants of the one thing that has to be measured.

A goal turns the study's objectives into scores to learn, and what is predicted of designs into how
promising they are and what training them would gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from autoscale.search.designs import Designs, Point
from autoscale.search.history import History
from autoscale.search.knowledge import KnownCosts, Measure, accuracies
from autoscale.search.model.acquisition import gain_of_best, gain_of_front
from autoscale.search.model.gaussian_process import Predictions
from autoscale.search.model.predictor import FittedModel, ImputedScores


class AcquisitionTarget(Protocol):
    """See `SingleObjective` and `FrontObjective`."""

    def scores(self, history: History) -> np.ndarray:
        """What to learn: one score for each trial of `history`, more being better."""

    def costs(self, designs: Designs, points: Sequence[Point]) -> np.ndarray:
        """What is known of each of `points` and matters here, less being better; else 0."""

    def merit(self, scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """How much each of some designs would be wanted if its score were known."""

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: np.ndarray,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        """What training each of the designs is expected to gain; see `acquisition`.

        Args:
            owned: which of them have been trained.
            adoptable: which of them keep the constraints; None if there are none.
        """

    def recommended(self, scores: np.ndarray, costs: np.ndarray) -> list[int]:
        """Which of the designs to recommend, the best first or all along the front."""


@dataclass(frozen=True)
class SingleObjective:
    """The best of one objective, which may be a known reward of the measured and the known."""

    sign: float
    known: KnownCosts
    objective: int = 0  # its number

    def scores(self, history: History) -> np.ndarray:
        gains = history.gains[:, self.objective]
        if self.known.reward is None:
            return gains
        costs = self.costs(history.designs, history.points)
        return accuracies(self.known.reward, gains * self.sign, costs)

    def costs(self, designs: Designs, points: Sequence[Point]) -> np.ndarray:
        if self.known.cost is None:
            return np.zeros(len(points))
        return designs.measured(points, self.known.cost)

    def merit(self, scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
        if self.known.reward is None:
            return scores
        spread = costs.reshape(-1, *[1] * (scores.ndim - 1))
        return self.sign * self.known.reward(scores, np.broadcast_to(spread, scores.shape))

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: np.ndarray,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        return gain_of_best(learnt, predicted, lambda scores: self.merit(scores, costs), adoptable)

    def recommended(self, scores: np.ndarray, costs: np.ndarray) -> list[int]:
        return np.argsort(-self.merit(scores, costs), kind="stable").tolist()


@dataclass(frozen=True)
class FrontObjective:
    """The front of one measured and one known objective.

    Attributes:
        objective: the number of the measured one; the other is `cost`, the less the better.
        stairs: costs and expected scores of the trained designs on the front, costs ascending.
    """

    objective: int
    cost: Measure
    cost_sign: float
    corner: tuple[float, float] = (0.0, 0.0)  # worst score and worst cost
    stairs: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0))

    def scores(self, history: History) -> np.ndarray:
        return history.gains[:, self.objective]

    def costs(self, designs: Designs, points: Sequence[Point]) -> np.ndarray:
        return -self.cost_sign * designs.measured(points, self.cost)

    def with_stairs(
        self, history: History, costs: np.ndarray, expected: np.ndarray, adoptable: np.ndarray
    ) -> AcquisitionTarget:
        """The goal as it stands with the costs and `expected` scores of the trained designs, of
        which those may be on the front that are `adoptable`."""
        order = np.lexsort((-expected, costs))
        order = order[adoptable[order]]
        return replace(
            self,
            corner=(float(self.scores(history).min()), float(costs.max())),
            stairs=(costs[order], np.maximum.accumulate(expected[order])),
        )

    def merit(self, scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Height above the stairs at the design's cost; above the lowest score if that is less than
        every cost tried."""
        place = np.searchsorted(self.stairs[0], costs, side="right") - 1
        heights = np.append(self.stairs[1], self.corner[0])
        return scores - heights[place]

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: np.ndarray,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        return gain_of_front(
            learnt,
            predicted,
            costs,
            owned if adoptable is None else owned & adoptable,
            worst_score=self.corner[0],
            worst_cost=max(self.corner[1], float(costs.max())),
        )

    def recommended(self, scores: np.ndarray, costs: np.ndarray) -> list[int]:
        chosen: list[int] = []
        for row in np.lexsort((-scores, costs)).tolist():
            if not chosen or scores[row] > scores[chosen[-1]]:
                chosen.append(row)
        return chosen


@dataclass(frozen=True)
class Compromise:
    """One random compromise of several objectives: the augmented Tchebycheff distance.

    For objectives of which none, or more than one other, is known. Source: Knowles 2006 (ParEGO).
    """

    weights: np.ndarray

    def scores(self, history: History) -> np.ndarray:
        gains = history.gains
        low, high = gains.min(axis=0), gains.max(axis=0)
        short = (high - gains) / np.where(high > low, high - low, 1.0) * self.weights
        return -(short.max(axis=1) + 0.05 * short.sum(axis=1))

    def costs(self, designs: Designs, points: Sequence[Point]) -> np.ndarray:
        return np.zeros(len(points))

    def merit(self, scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
        return scores

    def gain(
        self,
        learnt: FittedModel,
        predicted: Predictions,
        costs: np.ndarray,
        owned: np.ndarray,
        adoptable: np.ndarray | None = None,
    ) -> np.ndarray:
        return gain_of_best(learnt, predicted, lambda scores: scores, adoptable)

    def recommended(self, scores: np.ndarray, costs: np.ndarray) -> list[int]:
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


def goal_of(signs: np.ndarray, known: KnownCosts, rng: np.random.Generator) -> AcquisitionTarget:
    """The goal of a study whose objectives are to be maximised where `signs` is 1.

    Where several objectives have to be measured it is one random compromise of them.
    """
    if len(signs) == 1:
        return SingleObjective(float(signs[0]), known)
    if len(signs) == 2 and len(known.values) == 1:
        ((number, cost),) = known.values.items()
        return FrontObjective(1 - number, cost, float(signs[number]))
    return Compromise(rng.dirichlet(np.ones(len(signs))))
