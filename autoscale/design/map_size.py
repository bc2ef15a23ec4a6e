"""The size of a map: one number where it is square, height and width where it is not.

Most networks see squares, and a search counts thousands of them a second, so that these are left to
plain arithmetic. Numbers may be numpy arrays, which stand for many designs at once.
"""

from typing import Any

from autoscale.aspect import SQUARE, Aspect, ImageSize, image_size
from autoscale.design.numbers import Number

MapSize = Any  # pixels per side of a square, or an `ImageSize`


def map_size(resolution: Number, aspect: Aspect) -> MapSize:
    """The size of images of that resolution."""
    if aspect is SQUARE or aspect == SQUARE:
        return resolution
    return image_size(resolution, aspect)


def sides(size: MapSize) -> ImageSize:
    """Height and width."""
    return size if type(size) is ImageSize else ImageSize(size, size)


def area(size: MapSize) -> Number:
    """Pixels of a map."""
    if type(size) is ImageSize:
        return size.height * size.width
    return size * size


def output_size(size: MapSize, stride: Number) -> MapSize:
    """A map after a layer of `stride`: each side divided by it, rounded up."""
    if type(size) is ImageSize:
        return ImageSize(-(-size.height // stride), -(-size.width // stride))
    return -(-size // stride)
