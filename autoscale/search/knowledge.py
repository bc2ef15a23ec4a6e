"""What is known of a design before anything is trained.

FLOPs need no training. A sampler that is told so spends no trial on a design that breaks a limit,
and models only what has to be measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from autoscale.errors import InvalidSetting
from autoscale.search.batched import Measure
from autoscale.search.designs import Designs, Point


class View(Protocol):
    """What may tell a design's score before it is trained; how far is learnt from the trials.

    It must be equal to itself only, or to views that say the same, and can be hashed.
    """

    def of(self, designs: Designs, points: Sequence[Point]) -> np.ndarray:
        """A number for each of `points`, more for what is believed to be better."""


class RewardFunction(Protocol):
    """A number to maximise or minimise, from accuracy and cost; increasing in accuracy if it is
    maximised. It takes arrays."""

    def __call__(self, accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class KnownCosts:
    """What the samplers are told.

    The callables take an architecture where the sampler knows the search space, else parameters.
    One that works out many at once is given as `Batched(callable)`.

    Args:
        values: for the number of an objective, its exact value. `guided` uses it for a front of
            two objectives, one of them known.
        limits: each at most 0 for a design worth a trial, such as
            `lambda architecture: cost(architecture).macs - 300e6`, or the same as
            `Excess(Limit(MACS, 300_000_000))`. By how much a design exceeds several is their sum,
            so they should be in one unit, as the shares of `Excess` are.
        reward: how the only objective of the study follows from an accuracy, which has to be
            measured, and from `cost`, which has not.
        cost: what `reward` reads.
        views: for the number of an objective that is measured, what may tell it beforehand, such as
            an earlier search (`EarlierSearch`).
    """

    values: Mapping[int, Measure] = field(default_factory=dict)
    limits: Sequence[Measure] = ()
    reward: RewardFunction | None = None
    cost: Measure | None = None
    views: Mapping[int, Sequence[View]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.reward is None) != (self.cost is None):
            raise InvalidSetting("reward and cost belong together: give both or neither")
        if self.reward is not None and self.values:
            raise InvalidSetting("a reward is one objective; values of others make no sense")
        if both := sorted(self.views.keys() & self.values.keys()):
            raise InvalidSetting(f"objective {both[0]} is known, so views of it make no sense")


NOTHING = KnownCosts()


def accuracies(reward: RewardFunction, values: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The accuracies at which `reward` gives `values`, by bisection; `reward` must rise with it."""
    low, high = np.full(len(values), -1.0), np.ones(len(values))
    for _ in range(60):
        below, above = reward(low, costs) > values, reward(high, costs) < values
        if not (below.any() or above.any()):
            break
        low, high = np.where(below, 2 * low, low), np.where(above, 2 * high, high)
    for _ in range(80):
        middle = 0.5 * (low + high)
        under = reward(middle, costs) < values
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return 0.5 * (low + high)
