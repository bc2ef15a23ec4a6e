"""Two networks trained with the same seeds: which is better, by how much, and how sure that is.

The difference of the two accuracies of a seed leaves out what both owe to the seed; its mean over
seeds has Student's interval (Student 1908). It tells of other seeds on the same images, not of
other images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import atan, cos, pi, sin, sqrt
from statistics import mean, stdev
from typing import Literal

#: Of the interval, and of what counts as measurable.
LEVEL = 0.95
#: Trainings whose costs differ by no larger factor are called equally expensive.
EQUAL_COST = 1.25

Standing = Literal["better", "tied", "worse", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """How far one network is ahead of another, by the seeds that both were trained with.

    Attributes:
        seeds: that both share.
        lead: mean difference of their accuracies; None without a shared seed.
        low, high: the ends of its interval at `LEVEL`; None below two shared seeds.
    """

    seeds: int
    lead: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, own: Mapping[int, float], other: Mapping[int, float], *, images: int) -> "Paired":
        """The lead of `own`; both are accuracies by seed.

        Args:
            images: that they are measured on. Accuracies differ by whole images, so equal
                differences do not show that there is no scatter: that is taken to be one image at
                least.
        """
        shared = sorted(own.keys() & other.keys())
        leads = [own[seed] - other[seed] for seed in shared]
        if len(leads) < 2:
            return cls(seeds=len(leads), lead=leads[0] if leads else None)
        middle, scatter = mean(leads), max(stdev(leads), 1 / images)
        reach = student(len(leads) - 1) * scatter / sqrt(len(leads))
        return cls(seeds=len(leads), lead=middle, low=middle - reach, high=middle + reach)

    @property
    def standing(self) -> Standing:
        """Of the first against the second; unknown where no interval is."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "tied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one network costs, as a multiple of what another costs."""

    macs: float  # multiply-adds of one image
    training: float  # CPU-seconds of one training

    @property
    def equal_training(self) -> bool:
        """Whether both were trained at about the same cost."""
        return 1 / EQUAL_COST <= self.training <= EQUAL_COST


def verdict(paired: Paired, *, own: str, reference: str, costs: Costs) -> str:
    """What may be said of a network beside a published one, in one sentence.

    Args:
        own: how people call the first; "the baseline".
        reference: how they call the published network.
        costs: of the published network, in those of the first.
    """
    ratio = _times(1 / costs.macs)
    if paired.standing == "unknown":
        return (
            f"nothing can be said of {own} and the published network {reference}: they share "
            f"{paired.seeds} seed{'s' * (paired.seeds != 1)}, two are needed"
        )
    assert paired.lead is not None
    assert paired.low is not None
    assert paired.high is not None
    said = {
        "better": f"{own} is better than the published network {reference} at {ratio} its "
        "multiply-adds",
        "tied": f"{own} is tied with the published network {reference} at {ratio} its "
        "multiply-adds",
        "worse": f"the published network {reference} is better than {own}, at "
        f"{_times(costs.macs)} its multiply-adds",
    }[paired.standing]
    text = (
        f"{said}: {own} {points(paired.lead)} points, {LEVEL:.0%} interval "
        f"{points(paired.low)} to {points(paired.high)} over {paired.seeds} shared seeds"
    )
    if costs.equal_training:
        return f"{text}, at equal training cost ({costs.training:.2f}x)"
    return f"{text}; not at equal training cost, the published network's was {costs.training:.2f}x"


@lru_cache
def student(freedom: int, level: float = LEVEL) -> float:
    """How far Student's t reaches to both sides with a chance of `level`.

    Args:
        freedom: degrees of freedom, from 1.
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The chance that Student's t lies between -t and t.

    Source: Abramowitz & Stegun 1964, formulas 26.7.3 and 26.7.4.
    """
    angle = atan(t / sqrt(freedom))
    even = freedom % 2 == 0
    term, total = (1.0, 1.0) if even else (cos(angle), cos(angle))
    for k in range(2 if even else 3, freedom - 1, 2):
        term *= cos(angle) ** 2 * ((k - 1) / k)
        total += term
    if even:
        return sin(angle) * total
    return 2 / pi * (angle + (sin(angle) * total if freedom > 1 else 0.0))


def _times(ratio: float) -> str:
    return f"{ratio:.2g}x"


def points(share: float) -> str:
    """A difference of accuracies as people read it: +1.5, in hundredths."""
    return f"{100 * share:+.1f}"
