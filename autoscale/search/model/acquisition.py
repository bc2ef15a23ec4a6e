"""What one more training of a design is expected to gain.

The knowledge gradient (Frazier, Powell and Dayanik 2009): by how much the best of what would be
recommended is expected to rise once the design's score is known. It needs no best score so far,
which noise would flatter, and it sees what a repeat is worth.
"""

from collections.abc import Callable, Iterator

import numpy as np

from autoscale.search.model.gaussian_process import Predictions
from autoscale.search.model.predictor import FittedModel

#: Outcomes of a standard normal to average over, and their weights. The tails belong in: when one
#: design leads clearly, all that is left to gain lies there.
OUTCOMES = np.linspace(-3.5, 3.5, 15)
WEIGHTS = np.exp(-0.5 * OUTCOMES**2) / np.exp(-0.5 * OUTCOMES**2).sum()
#: From the designs' scores, shape (designs, ...), to what is wanted of them; rows are designs.
Value = Callable[[np.ndarray], np.ndarray]


def _outcomes(learnt: FittedModel, predicted: Predictions) -> Iterator[tuple[float, np.ndarray]]:
    """Weights of outcomes, and the mean scores after them, shape (designs, trained design)."""
    joint = predicted.covariance()
    # Source: Frazier et al. 2009, equation 2.
    shift = joint / np.sqrt(np.maximum(np.diag(joint), 1e-12) + learnt.noise)
    left = np.maximum(predicted.variance[:, None] - shift**2, 0.0)
    means = learnt.warp.backward_along(predicted.mean[:, None], left, shift, OUTCOMES)
    return zip(WEIGHTS, means, strict=True)


def gain_of_best(
    learnt: FittedModel, predicted: Predictions, value: Value, adoptable: np.ndarray | None = None
) -> np.ndarray:
    """Expected value of the best design after training each of `predicted`'s.

    Args:
        adoptable: which designs may be the best besides the one that is trained; all by default.
    """
    total = np.zeros(len(predicted.mean))
    for weight, scores in _outcomes(learnt, predicted):
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
    costs: np.ndarray,
    owned: np.ndarray,
    *,
    worst_score: float,
    worst_cost: float,
) -> np.ndarray:
    """Expected area under the front after training each of `predicted`'s designs.

    Args:
        costs: exact costs, less being better.
        owned: which designs have been trained; only these and the one to train can be on the front.
        worst_score, worst_cost: the corner from which the area is measured.
    """
    order = np.argsort(costs, kind="stable")
    members = order[owned[order]]
    steps = np.append(costs[members], worst_cost)
    widths = np.maximum(np.diff(steps), 0.0)
    # The part of each step that lies to the right of each design, shape (members, designs).
    right = np.maximum(
        np.minimum(steps[1:, None], worst_cost) - np.maximum(steps[:-1, None], costs[None]), 0.0
    )
    first = steps[0] if len(members) else worst_cost
    before = np.maximum(min(first, worst_cost) - costs, 0.0)
    total = np.zeros(len(costs))
    for weight, scores in _outcomes(learnt, predicted):
        stairs = np.maximum.accumulate(np.maximum(scores[members], worst_score), axis=0)
        mine = np.diag(scores)
        area = widths @ (stairs - worst_score)
        area += np.sum(right * np.maximum(mine[None] - stairs, 0.0), axis=0)
        area += before * np.maximum(mine - worst_score, 0.0)
        total += weight * area
    return total
