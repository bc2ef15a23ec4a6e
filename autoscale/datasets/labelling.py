"""What images are labelled with: one of the classes each, or several of them, or none.

Labels are an array of int64 either way. Of one class each it is (N,), positions in the classes; of
several it is (N, K), 1 where an image has the class and 0 where it has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting

Labels = NDArray[np.int64]


def are_several(labels: Labels) -> bool:
    """Whether an image may have several classes, or none."""
    return labels.ndim == 2


def has_class(labels: Labels, place: int) -> NDArray[np.bool_]:
    """Of each image whether it has the class at that place: (N,)."""
    if are_several(labels):
        return labels[:, place] > 0
    return labels == place


def class_counts(labels: Labels, classes: int) -> NDArray[np.int64]:
    """Images that have each class: (classes,). Labels below 0, of one class each, are of none."""
    if are_several(labels):
        summed: NDArray[np.int64] = labels.sum(axis=0, dtype=np.int64)
        return summed
    counted: NDArray[np.int64] = np.bincount(labels[labels >= 0], minlength=classes)
    return counted


def placed(labels: Labels, places: NDArray[np.int64], count: int) -> Labels:
    """The same labels where class i of some is class `places[i]` of `count`."""
    if not are_several(labels):
        return places[labels]
    moved = np.zeros((len(labels), count), dtype=np.int64)
    moved[:, places] = labels
    return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """How a network's logits become labels.

    Of one class each the largest logit is the answer; of several an image has each class whose
    probability, the sigmoid of its logit, is at least the class's threshold.

    Raises:
        InvalidSetting: for thresholds without several classes, or outside (0, 1).
    """

    several: bool = False
    thresholds: tuple[float, ...] | None = None  # of the classes; None: 0.5 each

    def __post_init__(self) -> None:
        if self.thresholds is None:
            return
        if not self.several:
            raise InvalidSetting("thresholds are of images with several labels; leave them out")
        if not all(0 < one < 1 for one in self.thresholds):
            raise InvalidSetting(f"thresholds must lie between 0 and 1, got {self.thresholds}")

    def to_dict(self) -> dict[str, Any]:
        """As plain data; empty where images have one class each."""
        if not self.several:
            return {}
        known = {} if self.thresholds is None else {"thresholds": list(self.thresholds)}
        return {"several": True, **known}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Raises:
            InvalidSetting: if it is something else.
        """
        several, given = plain.get("several", False), plain.get("thresholds")
        numbers = given is None or (
            isinstance(given, list | tuple) and all(isinstance(one, float) for one in given)
        )
        if not isinstance(several, bool) or not numbers:
            raise InvalidSetting(f"several must be true or false and thresholds numbers: {plain}")
        return cls(several=several, thresholds=None if given is None else tuple(given))

    def thresholds_of(self, classes: int) -> NDArray[np.float64]:
        """The threshold of each class: (classes,)."""
        if self.thresholds is None:
            return np.full(classes, 0.5)
        return np.array(self.thresholds)


#: One class each.
ONE_EACH = Labelling()
