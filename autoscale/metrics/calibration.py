"""How far probabilities are from how often the network is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoscale.metrics.intervals import LEVEL, Interval
from autoscale.metrics.metric import Metric, Weights
from autoscale.metrics.predictions import Predictions

BINS = 15
_DRAWS = 400  # of what chance does


@dataclass(frozen=True)
class CalibrationError(Metric):
    """Expected calibration error: how far the largest probability is from the share answered right.

    Images are put into 15 bins of equal width by their largest probability; the error is the mean
    over images of the distance, in an image's bin, between the mean of these and the share that is
    answered right. Chance alone makes it larger than 0, the more the fewer images there are.

    It is no way to choose a network: one that gives every image the classes' shares has none.

    Source: Guo et al. 2017, section 2, equation 3.
    """

    name: str = "calibration-error"
    higher_is_better: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return "expected calibration error"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        sure, bins = _binned(predictions)
        off = predictions.right - sure
        gaps = [np.abs(weights[:, bins == one] @ off[bins == one]) for one in np.unique(bins)]
        return np.sum(gaps, axis=0) / weights.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        """By the basic bootstrap, whose interval chance does not push up as it does the value.

        It is widened to hold the value, and begins at 0 where a network whose probabilities are
        right would have as large an error by chance. Source: Davison & Hinkley 1997, section 5.2;
        for the latter the consistency resampling of Broecker & Smith 2007.
        """
        value = self.of(predictions)
        low, high = Metric.interval(self, predictions, seed=seed)
        by_chance = value <= _of_chance(predictions, seed=seed)
        least = 0.0 if by_chance else max(0.0, min(value, 2 * value - high))
        return least, max(value, 2 * value - low)

    def quality(self, value: float) -> float:
        return 1 - value

    def of_quality(self, share: float) -> float:
        return 1 - share

    def of_one_answer(self, labels: NDArray[np.int64], classes: int) -> float | None:
        return None


def _binned(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each image the largest probability, and its bin."""
    sure = np.exp(predictions.log_probabilities.max(axis=1))
    bins = np.clip(np.ceil(sure * BINS) - 1, 0, BINS - 1)
    return sure, bins.astype(np.int64)


def _of_chance(predictions: Predictions, *, seed: int) -> float:
    """An error that chance seldom exceeds where images are right as often as their probability."""
    sure, bins = _binned(predictions)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_DRAWS):
        off = (rng.random(len(sure)) < sure) - sure
        found.append(np.abs(np.bincount(bins, off, BINS)).sum() / len(sure))
    return float(np.quantile(found, (1 + LEVEL) / 2))
