"""A metric of networks that answered a fold of the images each: of all answers, and by folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.metrics.intervals import LEVEL, Interval
from autoscale.metrics.metric import Metric
from autoscale.metrics.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class OverFolds:
    """A metric of networks of which each answered one fold."""

    metric: Metric
    value: float  # of all answers together
    interval: Interval  # of that, at `intervals.LEVEL`, over images or groups of them
    by_group: bool  # over which of these
    of_folds: tuple[float, ...]  # of each fold's answers, in order

    @property
    def mean(self) -> float:
        """Over folds."""
        return fmean(self.of_folds)

    @property
    def spread(self) -> float:
        """Standard deviation over folds."""
        return stdev(self.of_folds)

    @property
    def sentence(self) -> str:
        """What may be said of it."""
        show, (low, high) = self.metric.show, self.interval
        label = f"{self.metric.label[0].upper()}{self.metric.label[1:]}"
        counts = "" if self.metric.higher_is_better else "; less is better"
        return (
            f"{label} {show(self.value)}, {LEVEL:.0%} interval {show(low)} to {show(high)} over "
            f"{'groups' if self.by_group else 'images'}; of a fold {show(self.mean)} on average, "
            f"standard deviation {show(self.spread)}{counts}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "metric": self.metric.name,
            "value": self.value,
            "interval": list(self.interval),
            "interval_over": "groups" if self.by_group else "images",
            "mean": self.mean,
            "spread": self.spread,
            "of_folds": list(self.of_folds),
            "higher_is_better": self.metric.higher_is_better,
        }


def over_folds(
    metric: Metric,
    predictions: Predictions,
    folds: NDArray[np.int64],
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> OverFolds:
    """What a metric says of the answers of several networks.

    Args:
        predictions: of all images; those of a fold are of one network.
        folds: that of each image, two folds at least.
        groups: that of each image, where images of one are alike.
        seed: of the bootstrap, where there is one.
    """
    parts = [folds == fold for fold in np.unique(folds)]
    return OverFolds(
        metric=metric,
        value=metric.of(predictions),
        interval=metric.interval(predictions, seed=seed)
        if groups is None
        else metric.interval_by_group(predictions, groups, seed=seed),
        by_group=groups is not None,
        of_folds=tuple(
            metric.of(Predictions(predictions.labels[own], predictions.logits[own]))
            for own in parts
        ),
    )
