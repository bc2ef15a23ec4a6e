"""How a picture becomes a network's input, as a value that stays with the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from autoscale.aspect import SQUARE, Aspect, ImageSize, aspect_of, image_size, written
from autoscale.errors import InvalidSetting

Channels = tuple[float, ...]  # red, green, blue; or grey; or a number for each band
#: What of a picture becomes the image: the largest part in its middle that has the image's shape,
#: a square unless the network's aspect says otherwise, its edges not rounded; all of it beside a
#: border of grey; all of it, one side resized more than the other.
Area = Literal["centre-square", "padded", "squashed"]
Interpolation = Literal["bilinear", "bicubic"]

#: Bands that an image may have at most.
MOST_BANDS = 32
#: In place of the numbers of a mean: those of the training images, and their deviation.
MEASURED: Channels = ()


def in_bands(channels: int) -> bool:
    """Whether images of so many channels are arrays of bands, and neither in colour nor grey."""
    return channels not in (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Everything done to a picture before a network sees it, but the size, which is the design's.

    In this order: turned upright by its EXIF orientation; grey or colour of 16 bits scaled to 8 so
    that `white_level` becomes white; laid on white where it is transparent; made RGB; made grey if
    `mean` has one number; the `area` taken and resized with antialiasing to the network's
    resolution, in pixels of the height, and a width by its `aspect`, with a border of 128 where it
    is padded; divided by 255; less `mean`, divided by `deviation`.

    Of arrays the bands of 16 bits are scaled so that `white_level` becomes 255, and all that
    follows the making of colours or grey is done to each band.

    Grey is the luma of ITU-R BT.601 as Pillow's mode "L" has it:
    (19595 R + 38470 G + 7471 B + 32768) // 65536.

    Raises:
        InvalidSetting: for a mean outside 0..1, a deviation outside 0..1 or 0, or a choice that is
            not there.
    """

    mean: Channels = (0.5, 0.5, 0.5)  # of pixels in 0..1
    deviation: Channels = (0.25, 0.25, 0.25)
    area: Area = "centre-square"
    interpolation: Interpolation = "bilinear"
    white_level: int = 65535  # the value of a 16-bit picture that is shown white
    aspect: Aspect = SQUARE  # width by height of the images, as the design has it

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if not 1 <= len(values) <= MOST_BANDS:
                raise InvalidSetting(
                    f"{name} must be 3 numbers (red, green, blue), 1 (grey), or one for each of at "
                    f"most {MOST_BANDS} bands, got {values}"
                )
        if len(self.mean) != len(self.deviation):
            raise InvalidSetting(
                f"mean and deviation must have as many numbers, got {self.mean} and "
                f"{self.deviation}"
            )
        if not all(0 <= value <= 1 for value in self.mean):
            raise InvalidSetting(
                f"mean must lie in 0..1 in each channel, got {self.mean}; pixels count from 0 to 1 "
                "here: divide those of 0..255 by 255"
            )
        if not all(0 < value <= 1 for value in self.deviation):
            raise InvalidSetting(
                f"deviation must be above 0 and at most 1 in each channel, got {self.deviation}; "
                "pixels count from 0 to 1 here: divide those of 0..255 by 255"
            )
        if self.area not in get_args(Area):
            raise InvalidSetting(f"area must be one of {', '.join(get_args(Area))}: {self.area!r}")
        if self.interpolation not in get_args(Interpolation):
            known = ", ".join(get_args(Interpolation))
            raise InvalidSetting(f"interpolation must be one of {known}: {self.interpolation!r}")
        if not 1 <= self.white_level <= 65535:
            raise InvalidSetting(f"white_level must lie in 1..65535, got {self.white_level}")
        aspect_of(self.aspect)  # refuses what is none

    @property
    def channels(self) -> int:
        """Of the network's images: 3 in RGB, 1 in grey, others are bands."""
        return len(self.mean)

    @property
    def normalisation(self) -> tuple[Channels, Channels]:
        """Mean and deviation."""
        return self.mean, self.deviation

    def in_grey(self) -> Preparation:
        """The same of grey pictures: the mean of the means, and of the deviations."""
        mean, deviation = (sum(each) / self.channels for each in (self.mean, self.deviation))
        return replace(self, mean=(mean,), deviation=(deviation,))

    def in_bands(self, count: int) -> Preparation:
        """The same of arrays of so many bands, of which nothing is known: half of the range and a
        quarter of it, until somebody says or measures what they are."""
        return replace(self, mean=(0.5,) * count, deviation=(0.25,) * count)

    def image_size(self, resolution: int) -> ImageSize:
        """Of the images of a network of that resolution, pixels."""
        return image_size(resolution, self.aspect)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, the aspect only of images that are no squares."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        del plain["aspect"]
        return plain if self.aspect == SQUARE else plain | {"aspect": written(self.aspect)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Preparation:
        """Read what `to_dict` gave.

        Raises:
            InvalidSetting: if something has another value than it may have.
            TypeError: if something is unknown or of another kind.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in plain.items()
        }
        if "aspect" in values:
            values["aspect"] = aspect_of(values["aspect"])
        return cls(**values)


#: Of networks that are trained from scratch, in colour: the same for every data set, so that an
#: exported network needs no file of statistics. Photographs come out with a mean near 0 and a
#: deviation near 1; batch norm does the rest.
OURS = Preparation()


def ours(channels: int) -> Preparation:
    """What networks that are trained from scratch expect, by the channels of their images."""
    if in_bands(channels):
        return OURS.in_bands(channels)
    return OURS if channels == 3 else OURS.in_grey()
