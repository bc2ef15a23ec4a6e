"""What one more training of a design is expected to gain.

The knowledge gradient (Frazier, Powell and Dayanik 2009): by how much the best of what would be
recommended is expected to rise once the design's score is known. It needs no best score so far,
which noise would flatter, and it sees what a repeat is worth.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from autoscale.search.gaussian import Belief
from autoscale.search.predictor import Learnt

#: Middles of ten equally probable slices of a standard normal.
QUANTILES = tuple(NormalDist().inv_cdf((i + 0.5) / 10) for i in range(10))
#: From the designs' scores, shape (designs, ...), to what is wanted of them; rows are designs.
Value = Callable[[np.ndarray], np.ndarray]


def _outcomes(learnt: Learnt, belief: Belief) -> list[np.ndarray]:
    """Mean scores after one more training, shape (designs, trained design), for each quantile."""
    joint = belief.covariance()
    # Source: Frazier et al. 2009, equation 2.
    shift = joint / np.sqrt(np.maximum(np.diag(joint), 1e-12) + learnt.noise)
    left = np.maximum(belief.variance[:, None] - shift**2, 0.0)
    return [learnt.warp.backward(belief.mean[:, None] + shift * z, left) for z in QUANTILES]


def gain_of_best(learnt: Learnt, belief: Belief, value: Value) -> np.ndarray:
    """Expected value of the best design after training each of `belief`'s, up to a constant."""
    outcomes = _outcomes(learnt, belief)
    return np.mean([value(scores).max(axis=0) for scores in outcomes], axis=0)


def gain_of_front(
    learnt: Learnt,
    belief: Belief,
    costs: np.ndarray,
    owned: np.ndarray,
    *,
    worst_score: float,
    worst_cost: float,
) -> np.ndarray:
    """Expected area under the front after training each of `belief`'s designs.

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
    for scores in _outcomes(learnt, belief):
        stairs = np.maximum.accumulate(np.maximum(scores[members], worst_score), axis=0)
        mine = np.diag(scores)
        total += widths @ (stairs - worst_score)
        total += np.sum(right * np.maximum(mine[None] - stairs, 0.0), axis=0)
        total += before * np.maximum(mine - worst_score, 0.0)
    return total / len(QUANTILES)
