"""Which networks still answer for a budget where too few of them meet it.

Networks come in whole blocks, channels and pixels, and a small one has few of each: it may be that
no way of growing costs within 1 % of twice the base. A tolerance is therefore a wish. Where fewer
networks keep it than a race needs, the nearest others are taken, by the ratio of their cost to the
budget, up to a limit beyond which the question would be another one.
"""

from collections.abc import Callable, Sequence
from math import log
from typing import TypeVar

import numpy as np

from autoscale.scaling.budget import Budget

#: Distinct networks that a race needs. Growth of one cost has two degrees of freedom (its shares
#: of depth, width and resolution add up to one): two networks show one direction, three span all.
FEWEST = 3

#: How many times too expensive or too cheap a network may be that is taken for want of nearer ones.
WIDE = 1.25

#: The same where otherwise not even two networks could be compared.
WIDEST = 1.5
_PAIR = 2

Item = TypeVar("Item")


def nearest_beyond(
    growths: np.ndarray,
    at: Callable[[float], Sequence[Item]],
    budget: Budget,
    *,
    found: int,
    fewest: int = FEWEST,
) -> list[Item]:
    """The items nearest to a budget that bring `found` to `fewest`.

    All items of one growth are taken together. There are fewer where nothing else answers for the
    budget: see `answering`.

    Args:
        growths: shape (items,), of the base's cost; some may be equal.
        at: the distinct items of one growth, without those that were found before.
        found: how many were, within the tolerance.
    """
    levels = np.unique(growths)
    levels = levels[answering(levels, budget, WIDEST)]
    levels = levels[np.argsort(np.abs(np.log(levels / budget.ratio)), kind="stable")]
    taken: list[Item] = []
    for growth in levels.tolist():
        count = found + len(taken)
        factor = WIDEST if count < _PAIR else WIDE
        if count >= fewest or not answering(np.array(growth), budget, factor):
            break
        taken += at(growth)
    return taken


def answering(growths: np.ndarray, budget: Budget, factor: float) -> np.ndarray:
    """Which growths are at most `factor` off the budget, and nearer to it than to the base.

    Distances are ratios: halfway from the base to twice its cost lies the square root of two.
    """
    off = np.abs(np.log(growths / budget.ratio))
    aside = off < np.abs(np.log(growths)) if budget.ratio != 1 else True
    return (off <= log(factor) + 1e-12) & aside


def limits(budget: Budget, factor: float = WIDEST) -> tuple[float, float]:
    """Between which growths a network answers for a budget."""
    low, high, halfway = budget.ratio / factor, budget.ratio * factor, budget.ratio**0.5
    if budget.ratio > 1:
        return max(low, halfway), high
    return low, min(high, halfway) if budget.ratio < 1 else high
