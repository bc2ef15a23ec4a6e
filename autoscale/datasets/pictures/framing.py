"""Which part of a picture becomes a network's image, and how it is brought to size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoscale.aspect import ImageSize
from autoscale.datasets.pictures.preparation import Area, Preparation

#: Of 0..255, in every channel, what lies beside a padded picture: the middle, which the mean and
#: the deviation of networks that are trained from scratch bring to 0.
BESIDE = 128
_INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class DecodedPicture(NamedTuple):
    """A picture as an image."""

    pixels: NDArray[np.uint8]  # (H, W, C): 3 channels in RGB, 1 in grey, others are bands
    shape: ImageSize  # of the picture itself, upright, in pixels
    peak: int | None  # the largest number of a picture of 16 bits; None of others


class Frame(NamedTuple):
    """A part of a picture, and where it comes to lie in the image."""

    box: tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the picture
    size: tuple[int, int]  # width and height that it is resized to
    corner: tuple[int, int]  # left and top in the image


def frame_of(
    area: Area,
    shown: tuple[float, float, float, float],
    width: float,
    height: float,
    size: ImageSize,
) -> Frame:
    """What an area takes of a picture for an image of some size.

    Args:
        shown: left, top, right and bottom of what of the pixels is picture.
        width, height: of that, which nothing has rounded.
    """
    whole, aspect = (size.width, size.height), size.width / size.height
    wider = width > height * aspect
    if area == "squashed":
        return Frame(shown, whole, (0, 0))
    if area == "padded":
        wide, high = whole
        if wider:
            high = max(1, int(wide * height / width + 0.5))
        else:
            wide = max(1, int(high * width / height + 0.5))
        return Frame(shown, (wide, high), ((size.width - wide) // 2, (size.height - high) // 2))
    across = height * aspect if wider else width
    down = height if wider else min(height, width / aspect)
    left, top = shown[0] + (width - across) / 2, shown[1] + (height - down) / 2
    return Frame((left, top, left + across, top + down), whole, (0, 0))


def framed(
    image: Image.Image, frame: Frame, size: ImageSize, preparation: Preparation
) -> Image.Image:
    """The part of a picture as an image of some size."""
    resized = image.resize(frame.size, _INTERPOLATIONS[preparation.interpolation], box=frame.box)
    if frame.size == (size.width, size.height):
        return resized
    whole = Image.new(image.mode, (size.width, size.height), (BESIDE,) * len(image.getbands()))
    whole.paste(resized, frame.corner)
    return whole
