"""Whether a network learned anything: its accuracy against always giving one answer."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

#: Standard errors of the accuracy within which a network is hardly better than one answer.
ERRORS = 2.0


def chance_warning(
    accuracy: float, labels: ArrayLike, classes: Sequence[str], *, part: str = "validation"
) -> str | None:
    """What to say of an accuracy that always giving the commonest class would reach as well.

    Args:
        accuracy: share of the images that were told right.
        labels: of these images, positions in `classes`.
        part: what the images are called.

    Returns:
        A sentence; None for an accuracy that is clearly better, or without images.
    """
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(classes))
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
        "Look at the classes and splits above, train for more epochs or on more "
        "images, or take another --recipe"
    )
