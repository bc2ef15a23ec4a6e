"""Images of other channels: mean and deviation that are asked for, and weights for colours."""

from dataclasses import dataclass, replace
from typing import Protocol

from autoscale.aspect import Aspect
from autoscale.datasets.pictures.preparation import MEASURED, Channels, Preparation, in_bands
from autoscale.design.architecture import Architecture
from autoscale.errors import InvalidSetting
from autoscale.models.settings import PreparationSettings
from autoscale.network.inheritance import other_images
from autoscale.runs.weights import Weights


class TakesImages(Protocol):
    """A design, or a space of them: what all its networks take decides how pictures are prepared.

    Attributes:
        channels: 3 in RGB, 1 in grey, or bands.
        aspect: width of the images by their height.
    """

    @property
    def channels(self) -> int: ...

    @property
    def aspect(self) -> Aspect: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalising:
    """What is asked of mean and deviation, until the channels of the images are known."""

    measured: bool = False  # those of the training images
    mean: Channels | None = None
    deviation: Channels | None = None

    @classmethod
    def of(cls, settings: PreparationSettings) -> "Normalising":
        """What settings say of it."""
        if settings.mean == MEASURED:
            return cls(measured=True)
        return cls(mean=settings.mean, deviation=settings.deviation)

    @property
    def of_bands(self) -> int | None:
        """For how many bands numbers are given; None if for colour or grey, or none."""
        counts = (len(one) for one in (self.mean, self.deviation) if one is not None)
        return next(filter(in_bands, counts), None)

    def over(self, known: Preparation) -> Preparation:
        """A preparation of bands, with these numbers where they are given.

        Raises:
            InvalidSetting: if one is given without the other, or not for as many channels.
        """
        if self.measured or (self.mean is None and self.deviation is None):
            return known
        if self.mean is None or self.deviation is None:
            raise InvalidSetting(
                f"nothing is known of the {known.channels} bands; give both --mean and "
                "--deviation, or --mean measured"
            )
        return PreparationSettings(mean=self.mean, deviation=self.deviation).over(known)


def converted(
    held: Weights, design: Architecture | None, colour: Preparation, channels: int
) -> Weights:
    """Weights for images in colour as those for grey ones or bands."""
    assert design is not None, "weights are of a design"
    if in_bands(channels):
        state = other_images.in_bands(held.state, design, count=channels)
        return replace(held, state=state)
    grey = colour.in_grey().normalisation
    state = other_images.in_grey(held.state, design, colour=colour.normalisation, grey=grey)
    return replace(held, state=state)


def images_of(channels: int) -> str:
    """Images of so many channels, for a sentence."""
    if in_bands(channels):
        return f"images of {channels} bands"
    return "images in colour" if channels == 3 else "grey images"
