"""Answers of a quick way to compute that is not exact, verified where they could be others.

An answer is the class with the largest logit. It stays the same if the exact logits differ from the
quick ones by less than its margin: how far its logit is above the next one. How far they differ is
seen on images that are computed both ways, and differences as large must be expected of the others.
So images are computed again until the margins of the rest are all greater than `TIMES` the greatest
difference seen, which grows as more images are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Gives the logits of images at some positions: (N,) -> (N, classes).
Logits = Callable[[NDArray[np.int64]], NDArray[np.float32]]

#: A margin must be greater than so many times the greatest difference seen.
TIMES = 2.0
#: Images that are computed both ways first, whatever their margins.
SAMPLE = 32
_SEED = 0  # by which they are drawn
#: Images up to which all are computed exactly; a sample of so few is no small part of them.
FEW = 4 * SAMPLE
#: The share of the sample with margins too small above which all images are computed exactly: a
#: quick pass takes half or two thirds of the time, which the second one would use up.
MOST = 1 / 3


class Verified(NamedTuple):
    """What is answered to each image."""

    answers: NDArray[np.int64]  # (N,)
    exact: NDArray[np.bool_]  # (N,), those that were computed exactly


def verified_answers(images: NDArray[np.int64], quick: Logits, exact: Logits) -> Verified:
    """The answers of `exact`, most of them by `quick`.

    Args:
        images: their positions, at least one.
        quick: gives logits that are nearly those of `exact`, in less time.
    """
    if len(images) <= FEW:
        return _all(images, exact)
    drawn = np.sort(np.random.default_rng(_SEED).permutation(len(images))[:SAMPLE])
    sample = quick(images[drawn])
    near = exact(images[drawn])
    greatest = _difference(sample, near)
    if np.mean(_doubtful(sample, greatest)) > MOST:
        return _all(images, exact)
    logits = np.empty((len(images), sample.shape[1]), np.float32)
    others = np.delete(np.arange(len(images)), drawn)
    logits[drawn], logits[others] = sample, quick(images[others])
    answers, done = logits.argmax(axis=1), np.zeros(len(images), dtype=bool)
    answers[drawn], done[drawn] = near.argmax(axis=1), True
    while (again := np.flatnonzero(~done & _doubtful(logits, greatest))).size:
        found = exact(images[again])
        greatest = np.maximum(greatest, _difference(logits[again], found))
        answers[again], done[again] = found.argmax(axis=1), True
    return Verified(answers, done)


def _all(images: NDArray[np.int64], exact: Logits) -> Verified:
    return Verified(exact(images).argmax(axis=1), np.ones(len(images), dtype=bool))


def _difference(quick: NDArray[np.float32], exact: NDArray[np.float32]) -> np.float32:
    """By how much at most an answer's lead over another class shrinks; NaN if that is no number.

    What all logits of an image differ by alike changes no lead.
    """
    rows, answers = np.arange(len(quick)), quick.argmax(axis=1)
    with np.errstate(invalid="ignore"):
        off = quick - exact
        found: np.float32 = (off[rows, answers] - off.min(axis=1)).max()
    return found


def _doubtful(logits: NDArray[np.float32], greatest: np.float32) -> NDArray[np.bool_]:
    """Whose margins are too small, or no numbers."""
    if logits.shape[1] == 1:
        return np.zeros(len(logits), dtype=bool)
    with np.errstate(invalid="ignore"):
        second, first = np.partition(logits, (-2, -1), axis=1)[:, -2:].T
        sure = (first - second > TIMES * greatest) & np.isfinite(logits).all(axis=1)
    return ~sure
