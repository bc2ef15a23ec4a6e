"""Which part of a picture becomes a network's square image, and how it is brought to size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoscale.datasets.pictures.preparation import Area, Preparation

#: Of 0..255, in every channel, what lies beside a padded picture: the middle, which the mean and
#: the deviation of networks that are trained from scratch bring to 0.
BESIDE = 128
_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class Square(NamedTuple):
    """A picture, decoded."""

    pixels: NDArray[np.uint8]  # (S, S, C): 3 channels in RGB, 1 in grey, others are bands
    side: int  # pixels of the picture's shorter side
    peak: int | None  # the largest number of a picture of 16 bits; None of others


class Frame(NamedTuple):
    """A part of a picture, and where it comes to lie in the square image."""

    box: tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the picture
    size: tuple[int, int]  # width and height that it is resized to
    corner: tuple[int, int]  # left and top in the square


def frame_of(
    area: Area, shown: tuple[float, float, float, float], width: float, height: float, size: int
) -> Frame:
    """What an area takes of a picture for a square of `size` pixels per side.

    Args:
        shown: left, top, right and bottom of what of the pixels is picture.
        width, height: of that, which nothing has rounded.
    """
    if area == "squashed":
        return Frame(shown, (size, size), (0, 0))
    if area == "padded":
        longer = max(width, height)
        wide, high = (max(1, int(size * one / longer + 0.5)) for one in (width, height))
        return Frame(shown, (wide, high), ((size - wide) // 2, (size - high) // 2))
    side = min(width, height)
    left, top = shown[0] + (width - side) / 2, shown[1] + (height - side) / 2
    return Frame((left, top, left + side, top + side), (size, size), (0, 0))


def framed(image: Image.Image, frame: Frame, size: int, preparation: Preparation) -> Image.Image:
    """The part of a picture as a square of `size` pixels per side."""
    resized = image.resize(frame.size, _INTERPOLATIONS[preparation.interpolation], box=frame.box)
    if frame.size == (size, size):
        return resized
    whole = Image.new(image.mode, (size, size), (BESIDE,) * len(image.getbands()))
    whole.paste(resized, frame.corner)
    return whole
