"""Metrics of the probabilities that a network gives, the softmax of its logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoscale.metrics.answers import mean_of_defined
from autoscale.metrics.intervals import Interval, of_mean
from autoscale.metrics.metric import Metric, Weights
from autoscale.metrics.predictions import Predictions


@dataclass(frozen=True)
class Auroc(Metric):
    """Mean over classes of the area under the ROC curve, each class against all others.

    A class's area is the chance that an image of it gets a higher probability of the class than an
    image of another, half of it where both get the same. Classes without images are left out.
    Source: Hanley & McNeil 1982; the plain mean over classes as in Hand & Till 2001.
    """

    name: str = "auroc"
    least: ClassVar[int] = 2

    @property
    def label(self) -> str:
        return "AUROC"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        scores, labels = predictions.log_odds, predictions.labels
        parts = [_pairs(scores[:, one], labels == one, weights) for one in np.unique(labels)]
        ordered, pairs = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        return mean_of_defined(ordered, pairs)


def _pairs(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pairs of a positive and a negative image: those in the right order, and all; by draws."""
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]  # of equal scores
    counted, own = weights[:, order], positive[order]
    positives = np.add.reduceat(counted * own, starts, axis=1)
    negatives = np.add.reduceat(counted * ~own, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    ordered = (positives * (below + negatives / 2)).sum(axis=1)
    return ordered, positives.sum(axis=1) * negatives.sum(axis=1)


@dataclass(frozen=True)
class LogLoss(Metric):
    """Mean negative logarithm of the probability of an image's class, in nats."""

    name: str = "log-loss"
    higher_is_better: ClassVar[bool] = False

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        return weights @ self._losses(predictions) / weights.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        low, high = of_mean(self._losses(predictions))
        return max(low, 0.0), high

    def quality(self, value: float) -> float:
        return exp(-value)

    def of_quality(self, share: float) -> float:
        return -log(share) if share > 0 else inf

    def require(
        self,
        labels: NDArray[np.int64],
        names: Sequence[str],
        *,
        part: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        self.require_several(labels, part=part)

    def _losses(self, predictions: Predictions) -> NDArray[np.float64]:
        return -predictions.log_probabilities[np.arange(len(predictions)), predictions.labels]
