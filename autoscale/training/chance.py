"""Whether a network learned anything: its accuracy against always giving one answer."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from autoscale.datasets.labelling import Labels, are_several
from autoscale.metrics.metric import Metric

#: Standard errors of the accuracy within which a network is hardly better than one answer.
ERRORS = 2.0

_WAY_OUT = (
    "Look at the classes and splits above, train for more epochs or on more images, or take "
    "another --recipe"
)


def chance_warning(
    accuracy: float,
    labels: ArrayLike,
    classes: Sequence[str],
    *,
    part: str = "validation",
    metric: Metric | None = None,
) -> str | None:
    """What to say of an accuracy that always giving the commonest class would reach as well.

    Args:
        accuracy: share of the images that were told right, or what the metric says of them.
        labels: of these images, as `datasets.labelling` has them.
        part: what the images are called.
        metric: other than accuracy, by which networks are judged.

    Returns:
        A sentence; None for an accuracy that is clearly better, or without images.
    """
    if metric is not None:
        return _no_better_than_one_answer(accuracy, labels, classes, part=part, metric=metric)
    labels = np.asarray(labels, dtype=np.int64)
    if are_several(labels):
        return _no_better_than_one_set(accuracy, labels, classes, part=part)
    counts = np.bincount(labels, minlength=len(classes))
    images = int(counts.sum())
    if images == 0:
        return None
    share = float(counts.max() / images)
    constant = f"always saying {classes[int(counts.argmax())]!r} ({share:.4f} of {images:,} images)"
    if share == 1:
        return (
            f"{part} accuracy {accuracy:.4f} is of images of one class, for which {constant} is "
            "enough: it says nothing of the other classes. Add images of them"
        )
    if accuracy > share + ERRORS * sqrt(share * (1 - share) / images):
        return None
    better = "no better than" if accuracy <= share else "within the noise of"
    return (
        f"{part} accuracy {accuracy:.4f} is {better} {constant}: nothing may have been learned. "
        f"{_WAY_OUT}"
    )


def _no_better_than_one_answer(
    score: float, labels: ArrayLike, classes: Sequence[str], *, part: str, metric: Metric
) -> str | None:
    """What to say of a score that one answer to all images reaches; None for a better one."""
    reached = metric.of_one_answer(np.asarray(labels, dtype=np.int64), len(classes))
    if reached is None or metric.better(score, reached):
        return None
    return (
        f"{part} {metric.label} {metric.show(score)} is no better than {metric.show(reached)}, "
        f"which giving every image the same answer reaches: nothing may have been learned. "
        f"{_WAY_OUT}"
    )


def _no_better_than_one_set(
    accuracy: float, labels: Labels, classes: Sequence[str], *, part: str
) -> str | None:
    """What to say of an exact match that the commonest set of classes reaches; None else."""
    if not len(labels):
        return None
    sets, counts = np.unique(labels, axis=0, return_counts=True)
    share, images = float(counts.max() / len(labels)), len(labels)
    if accuracy > share + ERRORS * sqrt(share * (1 - share) / images):
        return None
    own = [classes[place] for place in np.flatnonzero(sets[int(counts.argmax())]).tolist()]
    said = f"{', '.join(own)} of every image" if own else "nothing of any image"
    better = "no better than" if accuracy <= share else "within the noise of"
    return (
        f"{part} exact match {accuracy:.4f} is {better} always saying {said} ({share:.4f} of "
        f"{images:,} images): nothing may have been learned. {_WAY_OUT}"
    )
