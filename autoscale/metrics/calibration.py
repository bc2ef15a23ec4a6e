"""How far probabilities are from how often the network is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoscale.metrics.intervals import Interval
from autoscale.metrics.metric import Metric, Weights
from autoscale.metrics.predictions import Predictions

BINS = 15


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
        sure = np.exp(predictions.log_probabilities.max(axis=1))
        off = predictions.right - sure
        bins = np.clip(np.ceil(sure * BINS) - 1, 0, BINS - 1)
        gaps = [np.abs(weights[:, bins == one] @ off[bins == one]) for one in np.unique(bins)]
        return np.sum(gaps, axis=0) / weights.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        """By the basic bootstrap, whose interval chance does not push up as it does the value.

        It is widened to hold the value, and does not go below 0. Source: Davison & Hinkley 1997,
        section 5.2.
        """
        value = self.of(predictions)
        low, high = Metric.interval(self, predictions, seed=seed)
        return max(0.0, min(value, 2 * value - high)), max(value, 2 * value - low)

    def quality(self, value: float) -> float:
        return 1 - value

    def of_quality(self, share: float) -> float:
        return 1 - share

    def of_one_answer(self, labels: NDArray[np.int64], classes: int) -> float | None:
        return None
