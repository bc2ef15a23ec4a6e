"""The probability below which the answer is "none of these"."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting

#: Images that are to lie below a threshold at least. With 5 of 100 the share of other images that
#: it refuses is between a third and 2.3 times of what was asked, with a chance of 95 % (by the beta
#: distribution of order statistics); with fewer it may be anything.
_LEAST_BELOW = 5
#: What a share of whole images may be off by, being a product of floats.
_ROUNDING = 1e-9


def images_needed(share: float) -> int:
    """Images, at least, for a threshold that refuses a share of them, or all but that share."""
    return ceil(_LEAST_BELOW / share - _ROUNDING)


def refusing_at_most(largest: NDArray[np.float64], share: float) -> float:
    """The threshold below which a share of the images lies: k of n, k being n * share cut to whole.

    It stands in the middle between the k-th and the next larger number, so that another program's
    rounding changes no answer. If the two are equal, images of that number are not refused, so
    fewer than k are.

    Args:
        largest: of each image the largest probability, (n,).
        share: above 0, below 1.
    """
    ordered = np.sort(largest)
    below = floor(len(ordered) * share + _ROUNDING)
    return _between(float(ordered[below - 1]) if below else 0.0, float(ordered[below]))


def refusing_at_least(largest: NDArray[np.float64], share: float) -> float:
    """The threshold below which at least a share of the images lies, and no more than need be.

    Args:
        largest: of each image the largest probability, (n,).
        share: above 0, below 1.

    Raises:
        InvalidSetting: if too many images have a probability of 1, which no threshold refuses.
    """
    ordered = np.sort(largest)
    last = float(ordered[ceil(len(ordered) * share - _ROUNDING) - 1])
    if last >= 1:
        sure = float((ordered >= 1).mean())
        raise InvalidSetting(
            f"{sure:.1%} of the unknown pictures get a probability of 1, which no threshold refuses"
            f"; ask for less than {1 - sure:.3g}"
        )
    above = ordered[ordered > last]
    return _between(last, float(above[0]) if len(above) else 1.0)


def _between(low: float, high: float) -> float:
    """A number above the first and at most the second, in the middle if there is one."""
    middle = low + (high - low) / 2
    return middle if low < middle else high
