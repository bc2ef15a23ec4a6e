"""Intervals of metrics over images: where another set of images of the same kind would put them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The chance with which an interval holds the value that endless images would give.
LEVEL = 0.95
#: Sets of images that a bootstrap draws, where that is not too much work.
RESAMPLES = 1000
#: Numbers that a bootstrap may go through, and the sets that it draws at least.
_WORK, _LEAST = 2_000_000_000, 100
#: Numbers that are held at once.
_AT_ONCE = 4_000_000

_REACH = NormalDist().inv_cdf((1 + LEVEL) / 2)

#: Low and high end.
Interval = tuple[float, float]


def wilson(right: ArrayLike, images: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of shares `right` / `images`, element by element.

    Source: Wilson 1927; it has a width for shares of 0 and 1 too.
    """
    count = np.asarray(images, dtype=float)
    share, square = np.asarray(right, dtype=float) / count, _REACH**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = np.sqrt(share * (1 - share) / count + square / (4 * count**2))
    reach = _REACH * spread / (1 + square / count)
    # At the ends the formula gives the share itself, but for rounding.
    return np.minimum(np.clip(middle - reach, 0, 1), share), np.maximum(
        np.clip(middle + reach, 0, 1), share
    )


def of_mean_share(right: ArrayLike, images: ArrayLike) -> Interval:
    """Of the mean of several shares, each of images of its own.

    Source: Zou & Donner 2008 (MOVER): the distances to the ends of the shares' own intervals, here
    Wilson's, are added as variances are.
    """
    shares = np.asarray(right, dtype=float) / np.asarray(images, dtype=float)
    low, high = wilson(right, images)
    middle, count = float(shares.mean()), len(shares)
    below = sqrt(float(np.sum((shares - low) ** 2))) / count
    above = sqrt(float(np.sum((high - shares) ** 2))) / count
    return max(0.0, middle - below), min(1.0, middle + above)


def of_mean(values: ArrayLike) -> Interval:
    """Of the mean of one number an image, two at least, by its standard error."""
    held = np.asarray(values, dtype=float)
    middle = float(held.mean())
    reach = _REACH * float(held.std(ddof=1)) / sqrt(len(held))
    return middle - reach, middle + reach


def bootstrapped(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    images: int,
    *,
    seed: int = 0,
    work: int = 1,
) -> Interval:
    """Of a statistic, by drawing as many images again and again, each as often as it comes.

    Source: Efron 1979; the percentiles of the statistic over the draws. Draws of which it says
    nothing are left out; if it says nothing of any, the interval is everything.

    Args:
        statistic: from how often each image was drawn, shape (draws, images), to a number for each
            draw, NaN where it says nothing.
        work: how often it goes through each image.
    """
    draws = max(_LEAST, min(RESAMPLES, _WORK // (images * work)))
    found = np.concatenate([statistic(drawn) for drawn in _drawn(images, draws, seed)])
    found = found[np.isfinite(found)]
    if not len(found):
        return -np.inf, np.inf
    low, high = np.quantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def bootstrapped_by_group(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    groups: Sequence[str],
    *,
    seed: int = 0,
    work: int = 1,
) -> Interval:
    """Of a statistic, by drawing groups of images: all images of one come as often as it does.

    For images of a group that are alike, of which each says less than one of its own would.
    Source: Davison & Hinkley 1997, section 3.8, its first way; else as `bootstrapped`.

    Args:
        groups: that of each image.
    """
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    rows = max(1, _AT_ONCE // len(groups))

    def of_images(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = [drawn[first : first + rows] for first in range(0, len(drawn), rows)]
        return np.concatenate([statistic(part[:, places]) for part in parts])

    images_each = -(-len(groups) // len(names))
    return bootstrapped(of_images, len(names), seed=seed, work=work * images_each)


def _drawn(images: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each image is drawn, some draws at once."""
    rng = np.random.default_rng(seed)
    together = max(1, _AT_ONCE // images)
    for first in range(0, draws, together):
        rows = min(together, draws - first)
        # A number of its own for each image of each draw, so that one count serves all.
        places = rng.integers(images, size=(rows, images)) + images * np.arange(rows)[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * images)
        yield counts.reshape(rows, images).astype(np.float64)
