"""What images are labelled with: one of the classes each, or several of them, or none.

Labels are an array of int64 either way. Of one class each it is (N,), positions in the classes; of
several it is (N, K), 1 where an image has the class and 0 where it has not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
