"""Mean and deviation of the channels of images, and how many levels each of them uses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.pictures.preparation import Channels

_TOGETHER = 256  # images counted at a time
_DIGITS = 6
_ONE_LEVEL = 1 / 255
#: A band of fewer of 256 levels shows little; that is said.
_FEW = 16


class Measured(NamedTuple):
    """What the channels of images are like."""

    mean: Channels  # of pixels in 0..1, rounded to six digits
    deviation: Channels  # the same; of a channel that never changes, one level of 255
    levels: tuple[int, ...]  # of 256, that each channel uses

    def notices(self) -> tuple[str, ...]:
        """What the owner of the images should know, a sentence each."""
        few = [f"{n} ({count})" for n, count in enumerate(self.levels, start=1) if count < _FEW]
        if not few:
            return ()
        return (
            f"the training images use few of 256 levels in channel {', '.join(few)}: an image has "
            "8 bits here, so scale such a band by itself before, or set --white-level",
        )


def measured(pixels: NDArray[np.uint8]) -> Measured:
    """The mean, the deviation and the levels of each channel.

    Whole numbers are counted, so that the order of the images changes no bit.

    Args:
        pixels: (N, H, W, C), at least one image.
    """
    channels = pixels.shape[3]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(pixels), _TOGETHER):
        part = pixels[start : start + _TOGETHER]
        for channel in range(channels):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    values = np.arange(256, dtype=np.float64)
    number = counts.sum(axis=1)
    means = counts @ values / number
    squares = counts @ values**2 / number
    deviations = np.sqrt(np.maximum(squares - means**2, 0)) / 255
    return Measured(
        tuple(round(float(mean) / 255, _DIGITS) for mean in means),
        tuple(max(round(float(one), _DIGITS), _ONE_LEVEL) for one in deviations),
        tuple(int(one) for one in (counts > 0).sum(axis=1)),
    )
