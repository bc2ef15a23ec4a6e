"""The best trials of any study, by their own scores: where it is worth looking closely."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from autoscale.search.pareto import front

_FROM = 8  # trials with scores before any is called best
_MOST = 16


def last_milestone(count: int) -> int:
    """The last of 1, 2, ..., 10, 11, 12, 13, ... (each a tenth more) that is not above `count`."""
    milestone = following = 1
    while following <= count:
        milestone = following
        following = milestone + max(1, milestone // 10)
    return milestone


def leaders(
    complete: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> list[FrozenTrial]:
    """At most 16 of the `complete` trials, the best first; none before there are 8.

    Those that break constraints least come first (Deb 2000), then those on the front of the rest,
    and so on. The trials since they last grew by a tenth do not count yet, so that not each of them
    changes what is best.
    """
    scored = [t for t in complete if t.values is not None and all(map(isfinite, t.values))]
    scored = scored[: last_milestone(len(scored))]
    if len(scored) < _FROM:
        return []
    signs = [1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions]
    gains = np.array([t.values for t in scored]) * signs
    broken = np.array([violation(t) for t in scored])
    left = np.ones(len(scored), dtype=bool)
    found: list[int] = []
    while left.any() and len(found) < _MOST:
        rows = np.flatnonzero(left & (broken == broken[left].min()))
        best = rows[front(gains[rows], ["maximize"] * len(signs))]
        found += _spread(best, gains).tolist()
        left[best] = False
    return [scored[row] for row in found[:_MOST]]


def violation(trial: FrozenTrial) -> float:
    """The sum by which a trial broke its constraints, 0 if it kept all."""
    return sum(max(0.0, value) for value in trial.constraints.values())


def _spread(rows: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Rows of a front, its ends and its middle first."""
    along = rows[np.lexsort(gains[rows].T[::-1])]
    few = np.linspace(0, len(along) - 1, min(3, len(along))).round().astype(int)
    return np.concatenate([along[few], np.delete(along, few)])
