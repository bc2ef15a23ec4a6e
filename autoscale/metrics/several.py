"""Metrics of images that may have several of the classes, or none.

Of these labels are (N, classes) of 0 and 1, and a network's probability of a class is the sigmoid
of its logit. A class is said of an image where that is at least the class's threshold.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.metrics.answers import ShareOfImages, mean_of_defined
from autoscale.metrics.intervals import Interval, wilson
from autoscale.metrics.metric import Metric, Weights
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.probabilities import LogLoss


class OfSeveral(Metric):
    """A metric of images with several labels."""

    #: Images that must have each class, and that must not have it.
    positives: ClassVar[int] = 0
    negatives: ClassVar[int] = 0

    def of_one_answer(self, labels: NDArray[np.int64], classes: int) -> float | None:
        """The better of two answers to every image: by the classes' shares, and all of them."""
        shares = np.clip(labels.mean(axis=0), 1e-9, 1 - 1e-9)
        answers = [np.log(shares / (1 - shares)), np.ones(classes)]
        found = [
            self.of(Predictions(labels, np.broadcast_to(one, labels.shape))) for one in answers
        ]
        known = [value for value in found if np.isfinite(value)]
        if not known:
            return None
        return max(known) if self.higher_is_better else min(known)

    def require(
        self,
        labels: NDArray[np.int64],
        names: Sequence[str],
        *,
        part: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        have = labels.sum(axis=0)
        for needed, counts, what in (
            (self.positives, have, "with"),
            (self.negatives, len(labels) - have, "without"),
        ):
            held = dict(zip(names, counts.tolist(), strict=True))
            asked = names if expected is None else expected
            lacking = [name for name in asked if held[name] < needed]
            if lacking:
                more = f", and too few for {len(lacking) - 1} more" if len(lacking) > 1 else ""
                images = f"{needed} {part} image{'s' * (needed > 1)}".replace("  ", " ")
                raise InvalidSetting(
                    f"{self.name} needs {images} {what} each label; there "
                    f"{'is' if held[lacking[0]] == 1 else 'are'} {held[lacking[0]]} {what} "
                    f"{lacking[0]}{more}. Take another --metric, or add images"
                )


@dataclass(frozen=True)
class ExactMatch(OfSeveral, ShareOfImages):
    """Share of images of which every class is answered right: said if and only if it is there."""

    name: str = "exact-match"

    @property
    def label(self) -> str:
        return "exact match"

    def image_weights(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.full(len(labels), 1 / len(labels))


class MeanOverClasses(OfSeveral):
    """A mean over classes of what `parts` says of each; classes of which it says nothing aside."""

    @abstractmethod
    def parts(
        self, predictions: Predictions, place: int, weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of a class a numerator, and a denominator that is 0 where it says nothing; by draws."""

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        found = [self.parts(predictions, place, weights) for place in range(predictions.classes)]
        above, below = (np.stack(part, axis=1) for part in zip(*found, strict=True))
        return mean_of_defined(above, below)

    def by_class(self, predictions: Predictions) -> NDArray[np.float64]:
        """Of each class, NaN where it says nothing: (classes,)."""
        once = np.ones((1, len(predictions)))
        found = [self.parts(predictions, place, once) for place in range(predictions.classes)]
        return np.array([above[0] / below[0] if below[0] else np.nan for above, below in found])


@dataclass(frozen=True)
class MeanAveragePrecision(MeanOverClasses):
    """Mean over classes of average precision.

    A class's average precision is the mean over images that have it of the precision among all
    images that are at least as probable; no interpolation. Source: Everingham et al. 2010, section
    4.2, with every rank in the place of eleven.
    """

    name: str = "map"
    positives: ClassVar[int] = 1

    @property
    def label(self) -> str:
        return "mean average precision"

    def parts(
        self, predictions: Predictions, place: int, weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        own, all_at = _from_the_best(predictions, place, weights)
        found, images = np.cumsum(own, axis=1), np.cumsum(all_at, axis=1)
        with np.errstate(invalid="ignore"):
            precision = np.where(images > 0, found / np.where(images > 0, images, 1), 0.0)
        return (own * precision).sum(axis=1), own.sum(axis=1)


@dataclass(frozen=True)
class AurocOfSeveral(MeanOverClasses):
    """Mean over classes of the area under the ROC curve, images with a class against those without.

    Source: Hanley & McNeil 1982.
    """

    name: str = "auroc"
    positives: ClassVar[int] = 2
    negatives: ClassVar[int] = 2

    @property
    def label(self) -> str:
        return "AUROC"

    def parts(
        self, predictions: Predictions, place: int, weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        own, all_at = _from_the_best(predictions, place, weights)
        others = all_at - own
        below = others.sum(axis=1, keepdims=True) - np.cumsum(others, axis=1)
        return (own * (below + others / 2)).sum(axis=1), own.sum(axis=1) * others.sum(axis=1)


@dataclass(frozen=True)
class MacroF1OfSeveral(MeanOverClasses):
    """Mean over classes of F1 at the thresholds; classes that no image has or is said to, aside."""

    name: str = "macro-f1"
    positives: ClassVar[int] = 1

    @property
    def label(self) -> str:
        return "macro-F1"

    def parts(
        self, predictions: Predictions, place: int, weights: Weights
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        said, own = predictions.said[:, place], predictions.labels[:, place]
        return 2 * (weights @ (said & (own > 0))), weights @ own + weights @ said


@dataclass(frozen=True)
class MicroF1(OfSeveral):
    """F1 at the thresholds of all pairs of an image and a class together."""

    name: str = "micro-f1"

    @property
    def label(self) -> str:
        return "micro-F1"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        said, own = predictions.said, predictions.labels > 0
        hits = weights @ (said & own).sum(axis=1)
        both = weights @ (said.sum(axis=1) + own.sum(axis=1))
        with np.errstate(invalid="ignore"):
            return np.where(both > 0, 2 * hits / np.where(both > 0, both, 1), np.nan)

    def require(
        self,
        labels: NDArray[np.int64],
        names: Sequence[str],
        *,
        part: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        if not labels.any():
            images = f"{part} images".strip()
            raise InvalidSetting(
                f"{self.name} needs {images} with labels, and none has one; take another --metric, "
                "or add images"
            )


@dataclass(frozen=True)
class RecallOfSeveral(OfSeveral):
    """Share of the images with a class of which it is said."""

    of_class: str
    place: int  # of the class among the logits

    @property
    def label(self) -> str:
        return f"recall of {self.of_class}"

    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        own = predictions.labels[:, self.place] > 0
        counted = weights[:, own]
        with np.errstate(invalid="ignore"):
            return counted @ predictions.said[own, self.place] / counted.sum(axis=1)

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        own = predictions.labels[:, self.place] > 0
        low, high = wilson(predictions.said[own, self.place].sum(), own.sum())
        return float(low), float(high)

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
        if not labels[:, self.place].any():
            needed = f"{part} images".strip()
            raise InvalidSetting(
                f"{self.name} needs {needed} with {self.of_class}, and there is none; take another "
                "--metric, or add images"
            )


@dataclass(frozen=True)
class BinaryLogLoss(OfSeveral, LogLoss):
    """Mean over images and classes of the negative logarithm of what is so, in nats."""

    name: str = "log-loss"
    require = LogLoss.require  # several images, whatever their labels

    def _losses(self, predictions: Predictions) -> NDArray[np.float64]:
        signs = np.where(predictions.labels > 0, -1.0, 1.0)
        losses: NDArray[np.float64] = np.logaddexp(0, signs * predictions.logits)
        return losses.mean(axis=1)


def _from_the_best(
    predictions: Predictions, place: int, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Images of each probability of a class, falling: those with the class, and all; by draws.

    Images that are equally probable count together, so that their order does not matter.
    """
    logits = predictions.logits[:, place]
    order = np.argsort(-logits, kind="stable")
    starts = np.unique(-logits[order], return_index=True)[1]
    counted, own = weights[:, order], predictions.labels[order, place]
    return np.add.reduceat(counted * own, starts, axis=1), np.add.reduceat(counted, starts, axis=1)


def best_thresholds(
    predictions: Predictions, *, least: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The threshold of each class with the largest F1 on these images: (classes,), and which.

    It lies halfway, in logits, between the probabilities of the last image of which the class is
    said and of the first of which it is not; of equally good ones the highest.

    Args:
        least: images with a class, and without, below which its threshold is 0.5: of fewer F1 tells
            little.

    Returns:
        Probabilities, and whether each was chosen by images.
    """
    labels, count = predictions.labels > 0, len(predictions)
    positives = labels.sum(axis=0)
    chosen = (positives >= least) & (count - positives >= least)
    found = np.full(predictions.classes, 0.5)
    for place in np.flatnonzero(chosen):
        cut = _best_cut(predictions.logits[:, place].astype(np.float64), labels[:, place])
        # Within what a double tells from 0 and 1.
        found[place] = 1 / (1 + np.exp(-np.clip(cut, -30, 30)))
    return found, chosen


def _best_cut(logits: NDArray[np.float64], own: NDArray[np.bool_]) -> float:
    """The logit from which on a class is to be said."""
    order = np.argsort(-logits, kind="stable")
    falling, hits = logits[order], np.cumsum(own[order])
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # of equal logits
    f1 = 2 * hits[ends] / (own.sum() + ends + 1)
    last = int(ends[int(f1.argmax())])
    if last + 1 == len(falling):
        return float(falling[last] - 1)  # said of all: below the least
    return float((falling[last] + falling[last + 1]) / 2)
