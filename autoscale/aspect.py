"""The size of images that are no squares.

A network's resolution is the height of its images; its aspect is their width divided by that. All
that grows and shrinks is the resolution; the width follows.
"""

from fractions import Fraction
from typing import Any, NamedTuple

from autoscale.errors import InvalidSetting

#: Width divided by height.
Aspect = Fraction

SQUARE: Aspect = Fraction(1)
#: No image is more than so many times as long as it is short.
MOST = 8
#: Neither number of a written aspect is larger, so that widths of large images stay whole numbers
#: of 64 bits.
_LARGEST = 10_000


class ImageSize(NamedTuple):
    """Pixels of an image, or of a map; or arrays of them that belong together."""

    height: Any
    width: Any

    def __str__(self) -> str:
        """As people write it: 96 of a square, else 96x128, height first."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


def image_size(resolution: Any, aspect: Aspect = SQUARE) -> ImageSize:
    """The images of a network of that resolution: the width is the nearest whole number of pixels,
    the upper one of two, and at least 1.

    Args:
        resolution: pixels, a whole number or an integer array.
    """
    if aspect == SQUARE:
        return ImageSize(resolution, resolution)
    above, below = aspect.numerator, aspect.denominator
    width = (2 * resolution * above + below) // (2 * below)
    return ImageSize(resolution, width + (width < 1))


def aspect_of(text: object) -> Aspect:
    """What somebody wrote: `4/3`, or a whole number; an aspect is given back.

    Raises:
        InvalidSetting: if it is none, or beyond 1/8 and 8.
    """
    try:
        aspect = Fraction(text) if isinstance(text, str | int | Fraction) else None
    except (ValueError, ZeroDivisionError):
        aspect = None
    if (
        aspect is None
        or isinstance(text, bool)
        or not Fraction(1, MOST) <= aspect <= MOST
        or max(aspect.numerator, aspect.denominator) > _LARGEST
    ):
        raise InvalidSetting(
            f"aspect is the width of images divided by their height, as 4/3, between 1/{MOST} and "
            f"{MOST}, of numbers up to {_LARGEST:,}; got {text!r}"
        )
    return aspect


def written(aspect: Aspect) -> str:
    """As `aspect_of` reads it: `4/3`."""
    return f"{aspect.numerator}/{aspect.denominator}"
