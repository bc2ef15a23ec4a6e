"""What a network said of images whose classes are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits of images, and which of them is that of each image's class, or are of its classes.

    Raises:
        InvalidSetting: if there are no images, the shapes do not match, or a number is not finite.
    """

    # (N,), positions; of images that may have several classes (N, classes) of 0 and 1.
    labels: NDArray[np.int64]
    logits: NDArray[np.floating]  # (N, classes)
    # Of several classes, the probability from which on each is said: (classes,); None: 0.5 each.
    thresholds: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.several and self.labels.shape != self.logits.shape:
            raise InvalidSetting(
                f"labels of shape {self.labels.shape} and logits of shape {self.logits.shape} do "
                "not go together; give a label for each logit"
            )
        if self.logits.ndim != 2 or count != len(self.logits) or not self.logits.size:
            raise InvalidSetting(
                f"{count} labels and logits of shape {self.logits.shape} do not go together; give "
                "a row of logits for each image, one image at least"
            )
        if not np.isfinite(self.logits).all():
            raise InvalidSetting(
                "a network answered with numbers that are not finite; train it again, at a lower "
                "learning rate"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """How many the network tells apart."""
        return self.logits.shape[1]

    @property
    def several(self) -> bool:
        """Whether an image may have several classes, or none."""
        return self.labels.ndim == 2

    @cached_property
    def said(self) -> NDArray[np.bool_]:
        """Of several classes, which are said of each image: (N, classes)."""
        return said_by(self.logits, self.thresholds)

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """The class with the largest logit of each image, the first of equals."""
        return self.logits.argmax(axis=1)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image was answered right; of several classes, whether each of them was."""
        if self.several:
            right: NDArray[np.bool_] = (self.said == (self.labels > 0)).all(axis=1)
            return right
        return self.answers == self.labels

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Logarithms of the softmax of the logits, shape (N, classes)."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    @cached_property
    def log_odds(self) -> NDArray[np.float64]:
        """Logarithms of p / (1 - p) of the probabilities p, shape (N, classes).

        They rise with the probability and stay apart where that is 0 or 1 but for rounding.
        """
        rows, first = np.arange(len(self)), self.answers
        logits = self.logits.astype(np.float64)
        powers = np.exp(logits - logits[rows, first][:, None])
        rest = np.array(powers)
        rest[rows, first] = 0  # without it no sum loses its small terms
        below = rest.sum(axis=1)[:, None] - rest
        others = np.log(1 + np.maximum(below, 0)) + logits[rows, first][:, None]
        without = np.array(logits)
        without[rows, first] = -np.inf
        second = without.max(axis=1, keepdims=True)
        others[rows, first] = second[:, 0] + np.log(np.exp(without - second).sum(axis=1))
        return logits - others


def said_by(
    logits: NDArray[np.floating], thresholds: NDArray[np.float64] | None = None
) -> NDArray[np.bool_]:
    """Which classes are said of images that may have several: the shape of `logits`.

    Args:
        logits: (..., classes).
        thresholds: of the sigmoid of each class's logit, (classes,); None for 0.5 each.
    """
    if thresholds is None:
        return logits >= 0
    # Compared as logits, of which large ones stay apart where probabilities round to 1.
    said: NDArray[np.bool_] = logits >= np.log(thresholds / (1 - thresholds))
    return said
