"""Metrics of a network on some images, with intervals, and beside another network's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.metrics.choice import MetricChoice
from autoscale.metrics.intervals import LEVEL, Interval
from autoscale.metrics.metric import Metric
from autoscale.metrics.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric of a network on some images."""

    metric: Metric
    value: float
    interval: Interval  # at `metrics.intervals.LEVEL`, over images

    @property
    def sentence(self) -> str:
        """What may be said of it."""
        metric, (low, high) = self.metric, self.interval
        label = f"{metric.label[0].upper()}{metric.label[1:]}"
        counts = "" if metric.higher_is_better else "; less is better"
        return (
            f"{label} {metric.show(self.value)}, {LEVEL:.0%} interval {metric.show(low)} to "
            f"{metric.show(high)} over images{counts}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "metric": self.metric.name,
            "value": self.value,
            "interval": list(self.interval),
            "higher_is_better": self.metric.higher_is_better,
        }


@dataclass(frozen=True, kw_only=True)
class MeasuredLead:
    """How far a network is ahead of another by a metric, on the same images."""

    metric: Metric
    other: float  # the metric of the other network
    lead: float  # above 0 where the first is better, whichever way the metric counts
    interval: Interval  # of the lead

    @property
    def standing(self) -> str:
        """Of the first against the other: better, tied or worse."""
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "tied"

    def sentence(self, own: str, other: str) -> str:
        """What may be said of the two, by their names."""
        show, (low, high) = self.metric.show, self.interval
        said = {
            "better": f"{own} is better than {other}",
            "tied": f"{own} and {other} are tied",
            "worse": f"{other} is better than {own}",
        }[self.standing]
        return (
            f"by {self.metric.label}, {show(self.other)} of {other}, {said}: lead "
            f"{show(self.lead)}, {LEVEL:.0%} interval {show(low)} to {show(high)} over images"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "metric": self.metric.name,
            "value": self.other,
            "lead": self.lead,
            "interval": list(self.interval),
            "standing": self.standing,
        }


def asked_metrics(
    names: Sequence[str], classes: Sequence[str], *, several: bool = False
) -> tuple[Metric, ...]:
    """The metrics that are asked for, each once, of networks that tell `classes` apart.

    Args:
        several: whether an image may have several of these, or none.

    Raises:
        InvalidSetting: if there is no such metric, or no such class.
    """
    asked = [MetricChoice.named(name) for name in dict.fromkeys(names)]
    return tuple(one.for_classes(classes, several=several) for one in asked)


def usable_metrics(
    metrics: Sequence[Metric],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    part: str,
    expected: Sequence[str],
    leave_out: bool = False,
) -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    """The metrics, once they are known to say something of the images.

    Args:
        leave_out: those that say nothing, which nobody asked for, and say why.

    Raises:
        InvalidSetting: naming what is lacking, unless it is to be left out.
    """
    found: list[Metric] = []
    notices: list[str] = []
    for metric in metrics:
        try:
            metric.require(labels, classes, part=part, expected=expected)
        except InvalidSetting as problem:
            if not leave_out:
                raise
            notices.append(f"no {metric.label}: {problem}")
        else:
            found.append(metric)
    return tuple(found), tuple(notices)


def measured(
    metrics: Sequence[Metric], predictions: Predictions, *, seed: int
) -> tuple[Measured, ...]:
    """Each metric and its interval; `seed` is that of bootstraps."""
    return tuple(
        Measured(
            metric=metric,
            value=metric.of(predictions),
            interval=metric.interval(predictions, seed=seed),
        )
        for metric in metrics
    )


def measured_leads(
    metrics: Sequence[Metric], own: Predictions, other: Predictions, *, seed: int
) -> tuple[MeasuredLead, ...]:
    """How far `own` is ahead of `other` by each metric; `seed` is that of bootstraps."""
    found = []
    for metric in metrics:
        lead, interval = metric.lead(own, other, seed=seed)
        found.append(
            MeasuredLead(metric=metric, other=metric.of(other), lead=lead, interval=interval)
        )
    return tuple(found)
