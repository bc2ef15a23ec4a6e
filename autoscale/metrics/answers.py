"""Metrics of what a network answers, whatever its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.metrics.intervals import Interval, of_mean, of_mean_share, wilson
from autoscale.metrics.metric import Metric, Weights
from autoscale.metrics.predictions import Predictions


class ShareOfImages(Metric):
    """A share of all images."""

    def hits(self, predictions: Predictions) -> NDArray[np.bool_]:
        """Which images count."""
        return predictions.right

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        return weights @ self.hits(predictions) / weights.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        low, high = wilson(self.hits(predictions).sum(), len(predictions))
        return float(low), float(high)


@dataclass(frozen=True)
class Accuracy(ShareOfImages):
    """Share of images answered right."""

    name: str = "accuracy"

    def image_weights(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.full(len(labels), 1 / len(labels))


@dataclass(frozen=True)
class TopK(ShareOfImages):
    """Share of images whose class is among the best answers."""

    best: int = 1  # how many

    @property
    def label(self) -> str:
        return f"{self.name} accuracy"

    def hits(self, predictions: Predictions) -> NDArray[np.bool_]:
        logits = predictions.logits
        own = logits[np.arange(len(predictions)), predictions.labels][:, None]
        earlier = np.arange(predictions.classes) < predictions.labels[:, None]  # first of equals
        above = (logits > own) | ((logits == own) & earlier)
        return above.sum(axis=1) < self.best


@dataclass(frozen=True)
class Recall(Metric):
    """Share of one class's images that is answered right."""

    of_class: str
    place: int  # of the class among the logits

    @property
    def label(self) -> str:
        return f"recall of {self.of_class}"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        own = predictions.labels == self.place
        counted = weights[:, own]
        with np.errstate(invalid="ignore"):
            return counted @ predictions.right[own] / counted.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        own = predictions.labels == self.place
        low, high = wilson(predictions.right[own].sum(), own.sum())
        return float(low), float(high)

    def image_weights(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        own = labels == self.place
        return own / own.sum()

    def of_one_answer(self, labels: NDArray[np.int64], classes: int) -> None:
        """Always naming the class recalls all of it, so that this is no measure."""

    def require(
        self,
        labels: NDArray[np.int64],
        names: Sequence[str],
        *,
        part: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        if not np.any(labels == names.index(self.of_class)):
            needed = f"{part} images".strip()
            raise InvalidSetting(
                f"{self.name} needs {needed} of {self.of_class}, and there is none; take another "
                "--metric, or add images"
            )


@dataclass(frozen=True)
class BalancedAccuracy(Metric):
    """Mean over classes of the share of each that is answered right; classes without images aside.

    Source: Brodersen et al. 2010.
    """

    name: str = "balanced-accuracy"
    least: ClassVar[int] = 1

    @property
    def label(self) -> str:
        return "balanced accuracy"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        right = by_class(weights * predictions.right, predictions.labels)
        counts = by_class(weights, predictions.labels)
        return mean_of_defined(right, counts)

    def image_weights(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = np.bincount(labels)
        found: NDArray[np.float64] = 1 / (counts[labels] * np.count_nonzero(counts))
        return found

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        labels = predictions.labels
        counts = np.bincount(labels)
        right = np.bincount(labels, weights=predictions.right, minlength=len(counts))
        return of_mean_share(right[counts > 0], counts[counts > 0])


@dataclass(frozen=True)
class MacroF1(Metric):
    """Mean over classes of F1; classes that no image has and no answer names are left out.

    A class's F1 is 2 * right / (images + answers). Source: Sokolova & Lapalme 2009.
    """

    name: str = "macro-f1"
    least: ClassVar[int] = 1

    @property
    def label(self) -> str:
        return "macro-F1"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        labels, answers, right = predictions.labels, predictions.answers, predictions.right
        classes = predictions.classes
        hits = by_class(weights * right, labels, classes)
        both = by_class(weights, labels, classes) + by_class(weights, answers, classes)
        return mean_of_defined(2 * hits, both)


@dataclass(frozen=True)
class ExpectedCost(Metric):
    """Mean cost of a network's answers."""

    # A row for each true class and a column for each answer, in the order of the logits.
    matrix: tuple[tuple[float, ...], ...]
    higher_is_better: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return "expected cost"

    @property
    def column(self) -> str:
        return "expected_cost"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        return weights @ self._costs(predictions) / weights.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        low, high = of_mean(self._costs(predictions))
        return max(low, self._bounds[0]), min(high, self._bounds[1])

    def quality(self, value: float) -> float:
        least, most = self._bounds
        return (most - value) / (most - least)

    def of_quality(self, share: float) -> float:
        least, most = self._bounds
        return most - share * (most - least)

    def of_one_answer(self, labels: NDArray[np.int64], classes: int) -> float:
        return float(np.array(self.matrix)[labels].mean(axis=0).min())

    def show(self, value: float) -> str:
        return f"{value:.4g}"

    def require(
        self,
        labels: NDArray[np.int64],
        names: Sequence[str],
        *,
        part: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        self.require_several(labels, part=part)

    def _costs(self, predictions: Predictions) -> NDArray[np.float64]:
        return np.array(self.matrix)[predictions.labels, predictions.answers]

    @property
    def _bounds(self) -> tuple[float, float]:
        costs = np.array(self.matrix)
        return float(costs.min()), float(costs.max())


def by_class(
    values: NDArray[np.float64], classes: NDArray[np.int64], count: int | None = None
) -> NDArray[np.float64]:
    """Sums over the images of each class, shape (draws, classes).

    Args:
        values: shape (draws, images).
        classes: shape (images,).
        count: of the classes; of those with images alone by default.
    """
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    sums = np.add.reduceat(values[:, order], starts, axis=1)
    if count is None:
        return sums
    whole = np.zeros((len(values), count))
    whole[:, present] = sums
    return whole


def mean_of_defined(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the last axis of `above` / `below`, where that is not 0; NaN if it is nowhere."""
    defined = below > 0
    with np.errstate(invalid="ignore"):
        shares = np.where(defined, above / np.where(defined, below, 1), 0.0)
        mean: NDArray[np.float64] = shares.sum(axis=1) / defined.sum(axis=1)
    return mean
