"""What a training starts from: fresh weights, its network's own, or those of another design."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from autoscale.datasets.data import ImageData, Images
from autoscale.datasets.pictures.preparation import OURS
from autoscale.design.architecture import Architecture
from autoscale.design.budget import BYTES
from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting
from autoscale.jobs.train_settings import TrainSettings
from autoscale.models.count import load_architecture
from autoscale.models.expected import Expected, expected_by, rows_kept
from autoscale.network.build import Network
from autoscale.network.inheritance.correspondence import require_kindred
from autoscale.network.inheritance.inherit import Share, inherit_into
from autoscale.network.inheritance.origin import fits, published_origin
from autoscale.network.weights import STYLES, class_rows, load_weights
from autoscale.runs.sources.find import find
from autoscale.runs.weights import Weights, file_digest, read_weights
from autoscale.training.batches import to_input

#: Training images by which a network takes over weights of another design, if memory allows.
_IMAGES, _FEWEST = 256, 16
#: Bytes that they may take on their way through the other network, and its numbers that are kept
#: for each number that it computes, as measured.
_MEMORY, _KEPT = 2**31, 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Another design, whose weights a network takes over."""

    name: str
    architecture: Architecture
    images: int  # of the training images, by which it does, at most

    def record(self) -> dict[str, Any]:
        """What decides the weights that a network begins with, as plain data."""
        return {
            "design": self.architecture.to_dict(),
            "channels": "rebuild",
            "images": self.images,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a training starts from: weights of a file, or random ones."""

    held: Weights | None
    expected: Expected  # of the network and its pictures, from the first step to the last
    digest: str | None  # of the file
    origin: Origin | None = None  # of the weights, if it is another design than the network's

    @classmethod
    def of(cls, settings: TrainSettings, architecture: Architecture) -> "Start":
        """Read the file, if there is one, and find out whose weights it holds.

        Args:
            architecture: of the network, for the resolution that it is trained at.

        Raises:
            InvalidSetting: if it holds no weights, does not tell what they expect, or holds those
                of a design that the network cannot take weights from.
        """
        weights, network = settings.weights, settings.network
        if weights is None:
            if settings.weights_of is not None:
                raise InvalidSetting(
                    f"--weights-of {settings.weights_of} says which network weights are of; give "
                    "the file as --weights"
                )
            return cls(
                held=None,
                expected=expected_by(None, None, network=network, asked=settings),
                digest=None,
            )
        file = str(find(weights))
        held = read_weights(file)
        origin = _origin(held, settings, architecture)
        whose = origin.name if origin else network
        return cls(
            held=held,
            expected=expected_by(held, file, network=whose, asked=settings),
            digest=file_digest(file),
            origin=origin,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before the images are read, in sentences."""
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
        apart = replace(expected.preparation, white_level=OURS.white_level)  # which is the task's
        if (expected.style, apart) != (STYLES["autoscale"], OURS):
            known["expects"] = asdict(expected.style) | apart.to_dict()
        return known

    def new_classifier(self, classes: Sequence[str]) -> bool:
        """Whether weights are given, and the classifier has classes that they do not know."""
        if self.held is None:
            return False
        count = class_rows(self.held.state)
        rows, _ = rows_kept(self.expected.classes, count, classes)
        return count != len(classes) if rows is None else None in rows

    def put_into(
        self, module: Network, images: ImageData, *, architecture: Architecture, seed: int
    ) -> list[str]:
        """The weights into a fresh network for these images; what to know, in sentences.

        The same arguments give the same weights.

        Args:
            architecture: of the network.
            seed: of the choice of images that another design's weights are taken over by.

        Raises:
            InvalidSetting: if they are another network's, or not finite.
        """
        if self.held is None:
            return []
        state, count = self.held.state, class_rows(self.held.state)
        rows, note = rows_kept(self.expected.classes, count, images.classes)
        told = [note] if note else []
        if self.origin is None:
            return [*_loaded(module, state, rows), *told]
        shares = inherit_into(
            module,
            architecture,
            state,
            self.origin.architecture,
            channels="rebuild",
            images=self._sample(images.train, architecture.resolution, seed=seed),
            rows=rows,
            style=self.expected.style,
        )
        if rows is None and count != len(images.classes):
            told.append(
                f"the weights know {count:,} classes and the data {len(images.classes):,}; the "
                "classifier is new and must be trained"
            )
        return [share_table(shares, self.origin.name), *told]

    def _sample(self, images: Images, resolution: int, *, seed: int) -> Tensor:
        """Training images as the network will see them when it is used."""
        assert self.origin is not None
        chosen = np.random.default_rng(seed).permutation(len(images))[: self.origin.images]
        return to_input(
            images.pixels[np.sort(chosen)],
            resolution=resolution,
            preparation=self.expected.preparation,
        )


def share_table(shares: Sequence[Share], origin: str) -> str:
    """How much of each part of a network came from another design, in a few lines."""
    params, inherited = sum(s.params for s in shares), sum(s.inherited for s in shares)
    cells = [f"{s.part:>11} {100 * s.inherited // s.params:>3}%" for s in shares]
    rows = ["".join(cells[start : start + 5])[1:] for start in range(0, len(cells), 5)]
    title = (
        f"of {params:,} parameters {100 * inherited // params}% begin as {origin}'s, part by part:"
    )
    return "\n".join([title, *rows])


def _loaded(
    module: nn.Module, state: Mapping[str, Tensor], rows: Sequence[int | None] | None
) -> list[str]:
    """Put weights of the very same network into it."""
    try:
        return load_weights(module, state, rows=rows)
    except InvalidSetting as problem:
        if "another network's" not in str(problem):
            raise
        raise InvalidSetting(
            f"{problem}; if theirs is a published network or a design in a file, name it with "
            "--weights-of, and what fits is taken over"
        ) from None


def _origin(held: Weights, settings: TrainSettings, architecture: Architecture) -> Origin | None:
    """The other design that weights are of; None if they are the network's, or nobody knows.

    Raises:
        InvalidSetting: if a design is named and they are not of it, or the network cannot take
            weights from theirs.
    """
    assert settings.weights is not None
    state, said = held.state, settings.weights_of
    if said is not None and not fits(state, load_architecture(said)):
        raise InvalidSetting(
            f"{settings.weights} does not hold weights of {said}: names or shapes are others; "
            "correct --weights-of"
        )
    if fits(state, architecture):
        return None
    if said is not None:
        name, design = said, load_architecture(said)
    elif held.header.architecture is not None:
        name = Path(settings.weights).name
        design = Architecture.from_dict(held.header.architecture)
        if not fits(state, design):
            return None
    elif (found := published_origin(state)) is not None:
        name, design = found, load_architecture(found)
    else:
        return None
    try:
        require_kindred(design, "source")
        require_kindred(architecture, "network")
    except InvalidSetting as problem:
        raise InvalidSetting(f"the weights are another network's, {name}: {problem}") from None
    return Origin(name=name, architecture=design, images=_affordable(design, architecture))


def _affordable(design: Architecture, architecture: Architecture) -> int:
    """Images that another design can be watched with."""
    seen = replace(design, resolution=architecture.resolution)
    one = _KEPT * BYTES * cost(seen).activations
    return max(_FEWEST, min(_IMAGES, int(_MEMORY / one)))
