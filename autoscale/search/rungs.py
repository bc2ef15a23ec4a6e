"""Early stopping that works with fronts: which trainings are not worth finishing.

A training is looked at after some epochs, its rungs. It stops if another one was better there in
every objective, by a margin for what may still change. What may change is learnt from the trainings
that went all the way: how far their scores moved from the rung to the end, against each other.

The idea of rungs is that of successive halving (Jamieson and Talwalkar 2016) and its asynchronous
form (Li et al. 2020); there a fixed share goes on, here whatever is not clearly behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt

import numpy as np

from autoscale.errors import InvalidSetting
from autoscale.search.objective import Objective, Score
from autoscale.search.pareto import as_losses

#: Trainings that must have gone all the way before one is stopped.
LEARN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """How one training went.

    Attributes:
        trial: its number.
        cost: of its network, as the objective counts it.
        rungs: what is judged, accuracy or another share, after so many epochs.
        end: the same after the last one; None if it was stopped before.
    """

    trial: int
    cost: float
    rungs: Mapping[int, float] = field(default_factory=dict)
    end: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rungs:
    """When trainings are looked at, and how far behind they may be.

    Attributes:
        epochs: after which, rising; the last number is the whole training.
        caution: the margin, in standard deviations of how two trainings still move against each
            other from the rung to the end. 0 stops whatever is behind.

    Raises:
        InvalidSetting: for fewer than two rungs, rungs that do not rise, or a negative caution.
    """

    epochs: tuple[int, ...]
    caution: float = 0.5

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.epochs, self.epochs[1:], strict=False))
        if len(self.epochs) < 2 or self.epochs[0] < 1 or not rising:
            raise InvalidSetting(
                "rungs must be at least two rising numbers of epochs, such as 1,2,4; got "
                + ",".join(map(str, self.epochs))
            )
        if not (self.caution >= 0 and isfinite(self.caution)):
            raise InvalidSetting(f"caution must be at least 0, got {self.caution}")

    @property
    def looks(self) -> tuple[int, ...]:
        """The rungs at which a training may be stopped."""
        return self.epochs[:-1]

    def margin(self, rung: int, climbs: Sequence[LearningCurve]) -> float | None:
        """How much more accurate another training must be at `rung` to stop one there.

        None as long as fewer than `LEARN` trainings that were looked at there have ended.
        """
        moved = [c.end - c.rungs[rung] for c in climbs if c.end is not None and rung in c.rungs]
        if len(moved) < LEARN:
            return None
        return self.caution * sqrt(2) * float(np.std(moved, ddof=1))

    def better(
        self, one: LearningCurve, rung: int, climbs: Sequence[LearningCurve], objective: Objective
    ) -> LearningCurve | None:
        """A training that leaves `one` behind at `rung`; None if it may go on."""
        margin = self.margin(rung, climbs)
        rivals = [c for c in climbs if rung in c.rungs]
        if margin is None or not rivals:
            return None
        hoped = min(one.rungs[rung] + margin, 1.0)
        values = [objective.values(hoped, one.cost)]
        values += [objective.values(c.rungs[rung], c.cost) for c in rivals]
        losses = as_losses(values, objective.directions)
        ahead = np.all(losses[1:] <= losses[0], axis=1) & np.any(losses[1:] < losses[0], axis=1)
        return rivals[int(np.argmax(ahead))] if ahead.any() else None


@dataclass(kw_only=True, slots=True)
class RungCheck:
    """Looks at one training at its rungs: to be told epochs and accuracy, or another share
    by which networks are judged; True ends the training.

    Plain data that knows only what was known when the training began, so that it may go to where
    the training is done and come back.

    Attributes:
        climbs: of the trainings that were done then.
        trial: the step's number if no other ends before.
        cost: of its network, as the objective counts it.
        stop: whether it may be stopped at all.
        seen: what was told at each rung so far.
        verdict: why it was stopped; empty if it was not.
    """

    rungs: Rungs
    objective: Objective
    climbs: tuple[LearningCurve, ...]
    trial: int
    cost: float
    stop: bool
    seen: dict[int, float] = field(default_factory=dict)
    verdict: str = ""

    def __call__(self, epochs: int, accuracy: float) -> bool:
        if epochs not in self.rungs.looks:
            return False
        self.seen[epochs] = accuracy
        one = LearningCurve(trial=self.trial, cost=self.cost, rungs=self.seen)
        better = self.rungs.better(one, epochs, self.climbs, self.objective)
        if better and self.stop:
            self.verdict = (
                f"stopped after {epochs} of {self.rungs.epochs[-1]} epochs at "
                f"{accuracy:.3f}, where trial {better.trial} had {better.rungs[epochs]:.3f}"
            )
        return bool(self.verdict)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A score, and what was looked at on the way to it."""

    score: Score
    look: RungCheck | None = None
