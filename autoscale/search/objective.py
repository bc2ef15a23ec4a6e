"""What a search maximises: accuracy against cost, in one number or as a front.

The cost is whatever a `CostMeasure` says: multiply-adds, parameters, a predicted latency.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from numbers import Integral
from typing import Any, Literal

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import MEASURES
from autoscale.errors import InvalidSetting
from autoscale.metrics.names import ACCURACY, Quality
from autoscale.search.pareto import Direction

#: Steeper punishments of cost than this only lose digits.
LEAST_EXPONENT = -100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good one network turned out, and what it costs."""

    accuracy: float  # share of validation images, 0..1; of the network in int8 if that is scored
    macs: int  # multiply-adds of one image
    params: int
    activations: int
    seconds: float = 0.0  # of training and evaluation
    # Share of its parameters that it began with and others had trained; None where none had.
    inherited: float | None = None
    # Of the processor, all threads together; of another device its seconds. None where an older
    # version trained.
    cpu_seconds: float | None = field(default=None, compare=False)  # of training and evaluation
    # Of one epoch, without evaluation.
    epoch_cpu_seconds: float | None = field(default=None, compare=False)
    # Of putting others' weights into it.
    inheriting_cpu_seconds: float | None = field(default=None, compare=False)
    # Which of the images it answered right, packed; only where that was asked for.
    right: str | None = field(default=None, compare=False)
    # As it was trained, where `accuracy` is that of the network in int8.
    accuracy_float: float | None = None
    # What it is judged by, where that is not accuracy: a share in 0..1, see `metrics.Quality`.
    quality: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise InvalidSetting(f"accuracy must lie in 0..1, got {self.accuracy!r}")
        if self.accuracy_float is not None and not 0 <= self.accuracy_float <= 1:
            raise InvalidSetting(f"accuracy_float must lie in 0..1, got {self.accuracy_float!r}")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise InvalidSetting(f"quality must lie in 0..1, got {self.quality!r}")
        for name in ("macs", "params", "activations"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
                raise InvalidSetting(f"{name} must be a whole number of at least 0, got {value!r}")
        if not 0 <= self.seconds < inf:
            raise InvalidSetting(f"seconds must be at least 0, got {self.seconds!r}")
        if self.inherited is not None and not 0 <= self.inherited <= 1:
            raise InvalidSetting(f"inherited must lie in 0..1, got {self.inherited!r}")

    @property
    def judged(self) -> float:
        """What networks are compared by, more is better: the quality that is asked for, else
        accuracy."""
        return self.accuracy if self.quality is None else self.quality

    @property
    def judged_as_trained(self) -> float:
        """The same of the network as it was trained, in float32."""
        return self.judged if self.accuracy_float is None else self.accuracy_float

    def told(self, quality: Quality = ACCURACY) -> str:
        """What it is judged by as a line of progress says it."""
        if self.quality is not None:
            return f"{quality.label} {self.quality:.3f}, accuracy {self.accuracy:.3f}"
        if self.accuracy_float is None:
            return f"accuracy {self.accuracy:.3f}"
        return f"accuracy {self.accuracy:.3f} in int8, {self.accuracy_float:.3f} in float"

    @property
    def training_cost(self) -> float:
        """CPU-seconds of training and evaluation; seconds where these are not known."""
        return self.seconds if self.cpu_seconds is None else self.cpu_seconds

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without what is not known."""
        optional = (
            "inherited", "cpu_seconds", "epoch_cpu_seconds", "inheriting_cpu_seconds", "right",
            "accuracy_float", "quality",
        )  # fmt: skip
        plain = asdict(self)
        return {name: v for name, v in plain.items() if name not in optional or v is not None}


def floats_of(scores: Iterable[Score]) -> tuple[float, ...]:
    """The accuracies of networks as they were trained, where int8 ones were scored; else none."""
    return tuple(s.accuracy_float for s in scores if s.accuracy_float is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """MnasNet's reward, accuracy * (macs / target) ** w.

    The exponent w is `below` up to the target and `above` beyond it.
    With `below == above` the target is only a constant factor and changes no ranking.
    Source: Tan et al. 2019 (MnasNet), section 3, equation 3; with FLOPs Tan & Le 2019, section 4.

    Raises:
        InvalidSetting: if the target is not above 0, or an exponent is above 0.
    """

    target: float  # in the unit of the cost
    below: float
    above: float

    def __post_init__(self) -> None:
        if not self.target > 0:
            raise InvalidSetting(f"the target must be above 0, got {self.target}")
        for exponent in (self.below, self.above):
            if not LEAST_EXPONENT <= exponent <= 0:
                raise InvalidSetting(
                    f"the exponent w must lie in {LEAST_EXPONENT:g}..0, got {exponent}; above 0 "
                    "would reward cost"
                )

    @classmethod
    def soft(cls, target: float, w: float = -0.07) -> "Reward":
        """The papers' choice: every doubling of cost must buy the same share of accuracy."""
        return cls(target=target, below=w, above=w)

    @classmethod
    def hard(cls, target: float) -> "Reward":
        """Cost is free up to the target and expensive beyond it."""
        return cls(target=target, below=0.0, above=-1.0)

    @property
    def ignores_target(self) -> bool:
        """Whether the target cancels out of every comparison."""
        return self.below == self.above

    def of(self, accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
        """The rewards of accuracies and costs, arrays that broadcast together."""
        ratio = cost / self.target
        return np.asarray(accuracy * ratio ** np.where(ratio <= 1, self.below, self.above))


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the study is told: the reward of each network, or its accuracy and cost apart.

    Raises:
        InvalidSetting: for an unknown kind; the message lists them.
    """

    kind: Literal["hard", "soft", "front"]
    target: float  # in the measure's unit; on a front it only chooses the baseline
    w: float = -0.07  # of the soft reward
    measure: CostMeasure = MACS  # what the cost is
    quality: Quality = ACCURACY  # what the study calls accuracy

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
        """Whether each of the study's values is to be large or small."""
        return ("maximize", "minimize") if self.kind == "front" else ("maximize",)

    def cost(self, architecture: Architecture) -> float:
        """The cost of one image in the measure's unit; known before any training."""
        return self.measure.of(architecture)

    def worth(self, accuracy: float, architecture: Architecture) -> float:
        """The reward of a network that is so accurate."""
        return float(self.reward.of(np.array(accuracy), np.array(self.cost(architecture))))

    def values(self, accuracy: float, cost: float) -> tuple[float, ...]:
        """The study's values of an accuracy and a cost."""
        if self.kind == "front":
            return (accuracy, float(cost))
        return (float(self.reward.of(np.array(accuracy), np.array(cost))),)

    def show(self, cost: float) -> str:
        """A cost as people read it: 1.5M multiply-adds, 3.2 ms."""
        return self.measure.show(cost)

    def to_dict(self) -> dict[str, Any]:
        """As plain data: kind, target, w and, but for multiply-adds, the measure by its name.

        The quality is on record with how networks are judged.
        """
        plain = {"kind": self.kind, "target": self.target, "w": self.w}
        if self.measure == MACS:
            return plain
        return plain | {self.measure.name: self.measure.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Objective":
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError: if it is something else.
        """
        own = {name: plain[name] for name in ("kind", "target", "w")}
        measures = [MEASURES[name].from_dict(plain[name]) for name in plain.keys() - own.keys()]
        (measure,) = measures or [MACS]
        return cls(**own, measure=measure)
