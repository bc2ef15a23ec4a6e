"""What one more training of a design is expected to gain.

- *Now*: by how much the best of what would be recommended is expected to rise once the score is
  told, noise and all; it sees what a repeat is worth, and what a score says of other designs. The
  knowledge gradient (Frazier, Powell and Dayanik 2009). It needs no best score so far, which noise
  would flatter.
- *In the end*, on fronts, for a design that was never trained: what area it is expected to add once
  its worth is known, as later repeats can make it (the expected improvement of the hypervolume,
  Emmerich et al. 2006, over what is expected of the trained ones). The larger of the two counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from autoscale.search.model.gaussian.posterior import Predictions
from autoscale.search.model.predictor import FittedModel

#: Outcomes of a standard normal to average over, and their weights. The tails belong in: when one
#: design leads clearly, all that is left to gain lies there.
OUTCOMES = np.linspace(-3.5, 3.5, 15)
WEIGHTS = np.exp(-0.5 * OUTCOMES**2) / np.exp(-0.5 * OUTCOMES**2).sum()
#: Three outcomes of a standard normal that have its first five moments, and their weights (Gauss
#: and Hermite).
FEW_OUTCOMES = np.array([-np.sqrt(3), 0.0, np.sqrt(3)])
FEW_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])
#: From the designs' scores, shape (designs, ...), to what is wanted of them; rows are designs.
Value = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Costs:
    """What some designs cost, less being better; the deviation is 0 where that is known."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def known(cls, values: np.ndarray) -> "Costs":
        return cls(values, np.zeros(len(values)))

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, rows: np.ndarray | list[int]) -> "Costs":
        return Costs(self.mean[rows], self.deviation[rows])

    def joined(self, other: "Costs") -> "Costs":
        return Costs(np.append(self.mean, other.mean), np.append(self.deviation, other.deviation))

    def outcomes(self) -> Iterator[tuple[float, np.ndarray]]:
        """Weights of outcomes, and the costs in them."""
        if not self.deviation.any():
            yield 1.0, self.mean
            return
        for weight, step in zip(FEW_WEIGHTS.tolist(), FEW_OUTCOMES.tolist(), strict=True):
            yield weight, self.mean + step * self.deviation


@dataclass(frozen=True)
class Stairs:
    """The front of some designs: what can be had for each cost.

    Attributes:
        costs: ascending.
        scores: the best score for at most each cost, never falling.
        worst_score, worst_cost: the corner from which areas are measured.
    """

    costs: np.ndarray
    scores: np.ndarray
    worst_score: float
    worst_cost: float

    @classmethod
    def of(
        cls, costs: np.ndarray, scores: np.ndarray, *, worst_score: float, worst_cost: float
    ) -> "Stairs":
        order = np.lexsort((-scores, costs))
        best = np.maximum.accumulate(scores[order])
        rises = np.append(True, best[1:] > best[:-1])[: len(best)]
        return cls(costs[order][rises], best[rises], worst_score, worst_cost)

    @classmethod
    def empty(cls) -> "Stairs":
        return cls(np.zeros(0), np.zeros(0), 0.0, 0.0)

    @property
    def _heights(self) -> np.ndarray:
        """Of each step, that before the first design included."""
        return np.append(self.worst_score, np.maximum(self.scores, self.worst_score))

    def area(self) -> float:
        edges = np.minimum(np.append(self.costs, self.worst_cost), self.worst_cost)
        return float(np.diff(edges) @ (self._heights[1:] - self.worst_score))

    def added(self, scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """The area that each design alone would add, shape (designs, ...) as `scores`."""
        edges = np.concatenate([[-np.inf], self.costs, [self.worst_cost]])
        right = np.minimum(edges[1:, None], self.worst_cost) - np.maximum(
            edges[:-1, None], costs[None]
        )
        flat = scores.reshape(len(costs), -1)
        above = np.maximum(flat[None] - self._heights[:, None, None], 0.0)
        found: np.ndarray = np.einsum("sd,sdo->do", np.maximum(right, 0.0), above)
        return found.reshape(scores.shape)

    def above(self, scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """How far each design lies above the step at its cost; below it if negative."""
        return scores - self._heights[np.searchsorted(self.costs, costs, side="right")]


def gain_of_best(
    learnt: FittedModel, predicted: Predictions, value: Value, adoptable: np.ndarray | None = None
) -> np.ndarray:
    """Expected value of the best design after training each of `predicted`'s.

    Args:
        adoptable: which designs may be the best besides the one that is trained; all by default.
    """
    total = np.zeros(len(predicted.mean))
    for weight, scores in _after(learnt, predicted):
        values = value(scores)
        if adoptable is not None:
            others = np.where(adoptable[:, None], values, -np.inf).max(axis=0)
            total += weight * np.maximum(others, np.diag(values))
        else:
            total += weight * values.max(axis=0)
    return total


def gain_of_front(
    learnt: FittedModel,
    predicted: Predictions,
    costs: Costs,
    owned: np.ndarray,
    adoptable: np.ndarray | None = None,
    *,
    worst_score: float,
    worst_cost: float,
) -> np.ndarray:
    """Expected area under the front after training each of `predicted`'s designs.

    Args:
        owned: which designs have been trained; only these and the one to train can be on the front.
        adoptable: which of these can; by default all.
        worst_score, worst_cost: the corner from which the area is measured.
    """
    members = np.flatnonzero(owned if adoptable is None else adoptable)
    members = members[np.argsort(costs.mean[members], kind="stable")]
    now = _front_now(learnt, predicted, costs.mean, members, worst_score, worst_cost)
    expected = learnt.expected(predicted.mean, predicted.variance)
    stairs = Stairs.of(
        costs.mean[members], expected[members], worst_score=worst_score, worst_cost=worst_cost
    )
    new = np.flatnonzero(~owned)
    known = _known(learnt, predicted[new])
    in_the_end = np.full(len(owned), -np.inf)
    in_the_end[new] = stairs.area() + sum(
        weight * (stairs.added(known, outcome) @ WEIGHTS)
        for weight, outcome in costs[new].outcomes()
    )
    return np.maximum(now, in_the_end)


def _front_now(
    learnt: FittedModel,
    predicted: Predictions,
    costs: np.ndarray,
    members: np.ndarray,
    worst_score: float,
    worst_cost: float,
) -> np.ndarray:
    """Expected area under the front of `members` and each design, after a score of that one."""
    steps = np.append(costs[members], worst_cost)
    widths = np.maximum(np.diff(steps), 0.0)
    # The part of each step that lies to the right of each design, shape (members, designs).
    right = np.maximum(
        np.minimum(steps[1:, None], worst_cost) - np.maximum(steps[:-1, None], costs[None]), 0.0
    )
    first = steps[0] if len(members) else worst_cost
    before = np.maximum(min(first, worst_cost) - costs, 0.0)
    scores = np.stack([scores for _, scores in _after(learnt, predicted, members)])
    np.maximum(scores, worst_score, out=scores)
    stairs, mine = scores[:, :-1], scores[:, -1]
    # What `np.maximum.accumulate` does one number at a time.
    for below, step in pairwise(stairs.swapaxes(0, 1)):
        np.maximum(step, below, out=step)
    areas = widths @ (stairs - worst_score)
    np.subtract(mine[:, None], stairs, out=stairs)
    np.maximum(stairs, 0.0, out=stairs)
    stairs *= right
    areas += stairs.sum(axis=1)
    areas += before * (mine - worst_score)
    total = np.zeros(len(costs))
    for weight, area in zip(WEIGHTS, areas, strict=True):
        total += weight * area
    return total


def _after(
    learnt: FittedModel, predicted: Predictions, rows: np.ndarray | None = None
) -> Iterator[tuple[float, np.ndarray]]:
    """Weights of outcomes, and the mean scores after them, shape (designs, trained design).

    Args:
        rows: which designs' scores to give, those of the trained ones themselves behind them; all
            by default.
    """
    joint = predicted.covariance()
    # Source: Frazier et al. 2009, equation 2.
    shift = joint / np.sqrt(np.maximum(np.diag(joint), 1e-12) + learnt.noise)
    left = np.maximum(predicted.variance[:, None] - shift**2, 0.0)
    mean = predicted.mean[:, None]
    if rows is not None:
        mean = np.broadcast_to(mean, joint.shape)
        mean, left, shift = [
            np.concatenate([whole[rows], np.diag(whole)[None]]) for whole in (mean, left, shift)
        ]
    means = learnt.warp.backward_along(mean, left, shift, OUTCOMES)
    return zip(WEIGHTS, means, strict=True)


def _known(learnt: FittedModel, predicted: Predictions) -> np.ndarray:
    """What each design may be worth, shape (designs, outcomes)."""
    wide = np.sqrt(predicted.variance)[:, None]
    return np.stack(
        list(learnt.warp.backward_along(predicted.mean[:, None], np.zeros(1), wide, OUTCOMES)),
        axis=-1,
    )[:, 0]
