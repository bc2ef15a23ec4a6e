"""What trainings start from: fresh weights, their network's own, or those of another design."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autoscale.aspect import Aspect
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.measured import Measured, measured
from autoscale.datasets.pictures.preparation import OURS, Preparation, in_bands
from autoscale.design.amounts import BYTES
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.groups.networks import WeightsSettings
from autoscale.jobs.other_channels import Normalising, TakesImages, converted, images_of
from autoscale.models.count import load_architecture
from autoscale.models.expected import Expected, expected_by
from autoscale.models.settings import PreparationSettings
from autoscale.network.inheritance.correspondence import require_kindred
from autoscale.network.inheritance.origin import fits, published_origin
from autoscale.network.weights import STYLES, Style
from autoscale.runs.sources.find import find
from autoscale.runs.weights import Weights, file_digest, read_weights

#: Training images by which a network takes over weights of another design, if memory allows.
IMAGES, _FEWEST = 256, 16
#: Bytes that they may take on their way through the other network, and its numbers that are kept
#: for each number that it computes, as measured.
_MEMORY, _KEPT = 2**31, 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Another design, whose weights a network takes over."""

    name: str
    architecture: Architecture
    images: int = IMAGES  # of the training images, by which it does, at most

    def record(self) -> dict[str, Any]:
        """What decides the weights that a network begins with, as plain data."""
        return {
            "design": self.architecture.to_dict(),
            "channels": "rebuild",
            "images": self.images,
        }


_USUAL = Expected(style=STYLES["autoscale"], preparation=OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What trainings start from: weights of a file, or random ones.

    It is plain data until `read` gives it the weights: so it travels to workers, which read the
    file themselves, once.
    """

    # Of the network and its pictures, from the first step to the last.
    expected: Expected = _USUAL
    file: str | None = None
    digest: str | None = None  # of the file
    origin: Origin | None = None  # of the weights, if it is another design than the network's
    # Classes and their rows of the classifier; None: as `expected` tells.
    known: tuple[tuple[str, int], ...] | None = None
    # What the file's weights expect, if networks get them in grey or in bands.
    colour: Preparation | None = None
    asked: Normalising = field(default=Normalising(), compare=False, repr=False)
    measures: bool = False  # whether mean and deviation are yet to be those of training images
    held: Weights | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls, settings: WeightsSettings, architecture: Architecture, *, network: str = ""
    ) -> "Start":
        """Read the file, if there is one, and find out whose weights it holds, for one network.

        Args:
            architecture: of the network, for the resolution that it is trained at.
            network: as the user named it.

        Raises:
            InvalidSetting: if it holds no weights, does not tell what they expect, or holds those
                of a design that the network cannot take weights from.
        """
        file, held = _held(settings)
        origin = None
        if held is not None and not _is_own(held, settings, architecture):
            origin = _origin(held, settings)
        if origin is not None:
            _require_kindred(origin.architecture, "source", origin.name)
            _require_kindred(architecture, "network", origin.name)
            count = affordable(origin.architecture, architecture)
            origin = replace(origin, images=min(IMAGES, count))
        start = cls._from(settings, file, held, origin, network=network)
        return start.for_design(architecture, own=architecture)

    def for_design(self, design: TakesImages, *, own: Architecture | None = None) -> "Start":
        """The same for networks that take the images of a design or a space.

        Pictures become images of its aspect, whatever the weights saw. Weights for images in colour
        become those for grey ones or bands, see `inheritance.other_images`. Mean and deviation of
        bands are measured unless they are asked for, or known of the weights.

        Args:
            own: whose the weights are, where they are not another design's.

        Raises:
            InvalidSetting: if the weights expect other images and these cannot become the
                networks', or numbers are given for other channels.
        """
        found = self._for_channels(design.channels, own)
        return found._expecting(replace(found.expected.preparation, aspect=design.aspect))

    def _for_channels(self, channels: int, own: Architecture | None) -> "Start":
        numbers, known = self.asked.of_bands, self.expected.preparation
        if numbers not in (None, channels):
            raise InvalidSetting(
                f"--mean or --deviation is of {numbers} bands, and the network takes {channels} "
                "channels; give as many numbers, or leave them out to have them measured"
            )
        if known.channels == channels:
            return self if numbers is None else self._expecting(self.asked.over(known))
        if known.channels != 3:
            raise InvalidSetting(
                f"{self.file} holds weights for {images_of(known.channels)}, and the network takes "
                f"{images_of(channels)}; give the design or space channels: {known.channels}, or "
                "take other weights"
            )
        found = self._in_place_of_colour(channels)
        if self.file is None:
            return found
        design = self.origin.architecture if self.origin else own
        origin = self.origin and replace(
            self.origin, architecture=replace(self.origin.architecture, channels=channels)
        )
        held = self.held and converted(self.held, design, known, channels)
        return replace(found, origin=origin, colour=known, held=held)

    def _in_place_of_colour(self, channels: int) -> "Start":
        """The same with what grey images or bands are prepared by."""
        known = self.expected.preparation
        if in_bands(channels):
            own_numbers = self.asked.mean is None and self.asked.deviation is None
            return replace(
                self._expecting(self.asked.over(known.in_bands(channels))),
                measures=self.measures or own_numbers,
            )
        grey = known.in_grey()
        if self.file is None:  # several numbers are no grey's
            PreparationSettings(mean=known.mean, deviation=known.deviation).over(grey)
        return self._expecting(grey)

    @property
    def aspect(self) -> Aspect:
        """Width of the networks' images by their height."""
        return self.expected.preparation.aspect

    def _expecting(self, preparation: Preparation) -> "Start":
        return replace(self, expected=replace(self.expected, preparation=preparation))

    def for_images(self, train: Images) -> tuple["Start", Measured | None]:
        """The same with mean and deviation of these training images, and what they are like, where
        they are to be measured."""
        if not self.measures:
            return self, None
        found = measured(train.pixels)
        known = replace(self.expected.preparation, mean=found.mean, deviation=found.deviation)
        return replace(self._expecting(known), measures=False), found

    @classmethod
    def for_many(cls, settings: WeightsSettings) -> "Start":
        """Read the file, if there is one, and find out whose weights it holds, for many designs.

        Raises:
            InvalidSetting: if it holds no weights, does not tell whose they are or what they
                expect, or holds those of a design that gives none to others.
        """
        file, held = _held(settings)
        origin = _origin(held, settings) if held is not None else None
        if held is not None and origin is None:
            raise InvalidSetting(
                f"{settings.weights} does not tell which design its weights are of, and no "
                "published network fits; name it with --weights-of"
            )
        if origin is not None:
            _require_kindred(origin.architecture, "source", origin.name)
        return cls._from(settings, file, held, origin)

    @classmethod
    def of_published(cls, settings: WeightsSettings) -> tuple["Start", Architecture, str]:
        """Read a file and find out whose weights it holds, for that very network.

        Returns:
            The start, the design, for the pixels and the classes that it was made for, and its
            name.

        Raises:
            InvalidSetting: if it holds no weights, or does not tell whose they are or what they
                expect.
        """
        file, held = _held(settings)
        assert held is not None, "name a file"
        origin = _origin(held, settings)
        if origin is None:
            raise InvalidSetting(
                f"{settings.weights} does not tell which design its weights are of, and no "
                "published network fits"
            )
        start = cls._from(settings, file, held, None, network=origin.name)
        return start, origin.architecture, origin.name

    @classmethod
    def _from(
        cls,
        settings: WeightsSettings,
        file: str | None,
        held: Weights | None,
        origin: Origin | None,
        *,
        network: str = "",
    ) -> "Start":
        asked = Normalising.of(settings)
        if asked.measured or asked.of_bands:  # which the channels of the networks decide
            settings = replace(settings, mean=None, deviation=None)
        return cls(
            held=held,
            file=None if file is None else str(Path(file).absolute()),  # a link stays one
            expected=expected_by(
                held, file, network=origin.name if origin else network, asked=settings
            ),
            asked=asked,
            measures=asked.measured,
            digest=None if file is None else file_digest(file),
            origin=origin,
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, file: str | None) -> "Start":
        """Read what `record` gave, perhaps among other things; weights are to be read.

        Args:
            file: where they lie; None if there are none.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        style, preparation = Style(), OURS
        if expects := record.get("expects"):
            given = dict(expects)
            style = Style(padding=given.pop("padding"), norm_eps=given.pop("norm_eps"))
            preparation = Preparation.from_dict(given)
        preparation = replace(preparation, white_level=record["white_level"])
        expected = Expected(style=style, preparation=preparation)
        if "start" not in record:
            return cls(expected=expected)
        inherits = record["inherits"]
        design = Architecture.from_dict(inherits["design"])
        name = Path(file).name if file else "the weights"
        return cls(
            expected=expected,
            file=file,
            digest=str(record["start"]),
            origin=Origin(name=name, architecture=design, images=inherits["images"]),
            known=tuple(dict(record["known_classes"]).items()),
            colour=Preparation.from_dict(record["colour"]) if "colour" in record else None,
        )

    def read(self) -> "Start":
        """With the weights, if there are any.

        Raises:
            InvalidSetting: if the file holds none.
            RunConflict: if they are not those that the work began with.
        """
        if self.file is None or self.held is not None:
            return self
        try:
            file = str(find(self.file))
            held = read_weights(file)
        except InvalidSetting as problem:
            raise InvalidSetting(f"{problem}, and say with --weights where they lie now") from None
        if file_digest(file) != self.digest:
            raise RunConflict(
                f"{self.file} does not hold the weights that the work began with; restore it, or "
                "say with --weights where they lie now"
            )
        if self.colour is not None:
            design = self.origin.architecture if self.origin else None
            channels = self.expected.preparation.channels
            held = converted(held, design, self.colour, channels)
        return replace(self, file=file, held=held)

    def for_worker(self) -> "Start":
        """As plain data."""
        return replace(self, held=None)

    @property
    def label(self) -> str:
        """How people call the weights: the file, and whose they are."""
        assert self.file is not None
        name, published = Path(self.file).name, self.expected.origin
        if published and self.held is not None and self.held.header.architecture is None:
            name = published
        whose = self.origin.name if self.origin else name
        return name if whose == name else f"{name}, {whose}"

    @property
    def told(self) -> dict[str, str]:
        """What a run notes of it for people; moving the file changes it."""
        return {} if self.file is None else {"start": self.label}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before the images of one network are read, in sentences."""
        if self.origin is None:
            return self.expected.notes
        return (
            *self.expected.notes,
            f"the weights are of another design, {self.origin.name}: the network takes over what "
            f"it can, by {self.origin.images} of the training images at most",
        )

    def settings(self) -> dict[str, Any]:
        """What of it decides a training's result and is not what every training has."""
        expected = self.expected
        known: dict[str, Any] = {} if self.digest is None else {"start": self.digest}
        if self.origin is not None:
            known["inherits"] = self.origin.record()
        if self.colour is not None:
            known["colour"] = self.colour.to_dict()
        apart = replace(expected.preparation, white_level=OURS.white_level)  # which is the task's
        if (expected.style, apart) != (STYLES["autoscale"], OURS):
            known["expects"] = asdict(expected.style) | apart.to_dict()
        return known


#: Random weights, and what autoscale's own networks expect.
FRESH = Start()


def affordable(origin: Architecture, network: Architecture) -> int:
    """Images of a network's size that another design can be watched with."""
    seen = replace(origin, resolution=network.resolution, aspect=network.aspect)
    one = _KEPT * BYTES * cost(seen).activations
    return max(_FEWEST, int(_MEMORY / one))


def _held(settings: WeightsSettings) -> tuple[str | None, Weights | None]:
    """The file of the weights and what it holds; None if there is none.

    Raises:
        InvalidSetting: if it holds no weights, or a design is named without a file.
    """
    if settings.weights is not None:
        file = str(find(settings.weights))
        return file, read_weights(file)
    if settings.weights_of is not None:
        raise InvalidSetting(
            f"--weights-of {settings.weights_of} says which network weights are of; give "
            "the file as --weights"
        )
    return None, None


def _is_own(held: Weights, settings: WeightsSettings, architecture: Architecture) -> bool:
    """Whether weights are of the network's own design.

    Raises:
        InvalidSetting: if a design is named and they are not of it.
    """
    _require_said(held, settings)
    every = {architecture.channels, 3}  # weights in colour become those of other images
    return any(fits(held.state, replace(architecture, channels=count)) for count in every)


def _origin(held: Weights, settings: WeightsSettings) -> Origin | None:
    """The design that weights are of; None if nobody knows.

    Raises:
        InvalidSetting: if a design is named and they are not of it.
    """
    assert settings.weights is not None
    _require_said(held, settings)
    if (said := settings.weights_of) is not None:
        return Origin(name=said, architecture=load_architecture(said))
    if held.header.architecture is not None:
        design = Architecture.from_dict(held.header.architecture)
        return (
            Origin(name=Path(settings.weights).name, architecture=design)
            if fits(held.state, design)
            else None
        )
    if (found := published_origin(held.state)) is not None:
        return Origin(name=found, architecture=load_architecture(found))
    return None


def _require_said(held: Weights, settings: WeightsSettings) -> None:
    said = settings.weights_of
    if said is not None and not fits(held.state, load_architecture(said)):
        raise InvalidSetting(
            f"{settings.weights} does not hold weights of {said}: names or shapes are others; "
            "correct --weights-of"
        )


def _require_kindred(architecture: Architecture, whose: str, name: str) -> None:
    try:
        require_kindred(architecture, whose)
    except InvalidSetting as problem:
        raise InvalidSetting(f"the weights are another network's, {name}: {problem}") from None
