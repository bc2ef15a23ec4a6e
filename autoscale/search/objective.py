"""What a search maximises: accuracy against multiply-adds, in one number or as a front."""

from dataclasses import dataclass
from math import inf
from numbers import Integral
from typing import Literal

import numpy as np

from autoscale.errors import InvalidSetting
from autoscale.search.pareto import Direction

#: Steeper punishments of cost than this only lose digits.
LEAST_EXPONENT = -100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good one network turned out, and what it costs."""

    accuracy: float  # share of validation images, 0..1
    macs: int  # multiply-adds of one image
    params: int
    activations: int
    seconds: float = 0.0  # of training and evaluation

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise InvalidSetting(f"accuracy must lie in 0..1, got {self.accuracy!r}")
        for name in ("macs", "params", "activations"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
                raise InvalidSetting(f"{name} must be a whole number of at least 0, got {value!r}")
        if not 0 <= self.seconds < inf:
            raise InvalidSetting(f"seconds must be at least 0, got {self.seconds!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """MnasNet's reward, accuracy * (macs / target) ** w.

    The exponent w is `below` up to the target and `above` beyond it.
    With `below == above` the target is only a constant factor and changes no ranking.
    Source: Tan et al. 2019 (MnasNet), section 3, equation 3; with FLOPs Tan & Le 2019, section 4.

    Raises:
        InvalidSetting: if the target is not above 0, or an exponent is above 0.
    """

    target: int  # multiply-adds
    below: float
    above: float

    def __post_init__(self) -> None:
        if not self.target > 0:
            raise InvalidSetting(f"the target must be above 0 multiply-adds, got {self.target}")
        for exponent in (self.below, self.above):
            if not LEAST_EXPONENT <= exponent <= 0:
                raise InvalidSetting(
                    f"the exponent w must lie in {LEAST_EXPONENT:g}..0, got {exponent}; above 0 "
                    "would reward cost"
                )

    @classmethod
    def soft(cls, target: int, w: float = -0.07) -> "Reward":
        """The papers' choice: every doubling of cost must buy the same share of accuracy."""
        return cls(target=target, below=w, above=w)

    @classmethod
    def hard(cls, target: int) -> "Reward":
        """Cost is free up to the target and dear beyond it."""
        return cls(target=target, below=0.0, above=-1.0)

    @property
    def ignores_target(self) -> bool:
        """Whether the target cancels out of every comparison."""
        return self.below == self.above

    def __call__(self, score: Score) -> float:
        return float(self.of(np.array(score.accuracy), np.array(score.macs)))

    def of(self, accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
        """The same of arrays of accuracies and multiply-adds that broadcast together."""
        ratio = cost / self.target
        return np.asarray(accuracy * ratio ** np.where(ratio <= 1, self.below, self.above))


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the study is told: the reward of each score, or accuracy and multiply-adds apart.

    Raises:
        InvalidSetting: for an unknown kind; the message lists them.
    """

    kind: Literal["hard", "soft", "front"]
    target: int  # multiply-adds; on a front it only chooses the baseline
    w: float = -0.07  # of the soft reward

    def __post_init__(self) -> None:
        if self.kind not in ("hard", "soft", "front"):
            raise InvalidSetting(f"no objective {self.kind!r}; choose from hard, soft, front")
        self.reward  # noqa: B018  (refuses a wrong target or w)

    @property
    def reward(self) -> Reward:
        """The reward that decides which finished trial is best."""
        return Reward.soft(self.target, self.w) if self.kind == "soft" else Reward.hard(self.target)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Of the study's values."""
        return ("maximize", "minimize") if self.kind == "front" else ("maximize",)

    def values(self, score: Score) -> tuple[float, ...]:
        """The study's values of a score."""
        return self.of(score.accuracy, score.macs)

    def of(self, accuracy: float, macs: int) -> tuple[float, ...]:
        """The study's values of an accuracy and multiply-adds."""
        if self.kind == "front":
            return (accuracy, float(macs))
        return (float(self.reward.of(np.array(accuracy), np.array(macs))),)
