"""Weights of a start, given to fresh networks that are trained on the same images."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from torch import Tensor, nn

from autoscale.datasets.data import ImageData
from autoscale.design.architecture import Architecture
from autoscale.design.choices import HeadChoices, StageChoices, StemChoices
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.jobs.start import Origin, Start, affordable
from autoscale.models.expected import rows_kept
from autoscale.network.build import Network
from autoscale.network.inheritance.correspondence import (
    is_kindred,
    kindred_in_words,
    require_kindred,
)
from autoscale.network.inheritance.donor import Donor, Observations
from autoscale.network.inheritance.inherit import Share, take_over
from autoscale.network.inheritance.origin import fits
from autoscale.network.weights import class_rows, load_weights
from autoscale.training.batches import to_input
from autoscale.training.recipe import CUT, INHERITING_RATE, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """How a network begins."""

    inherited: float  # share of its parameters that are the start's, in [0, 1]
    # Whether features are the start's, and the classifier has classes that the start does not know.
    new_classifier: bool = False
    notes: tuple[str, ...] = ()  # what to know, in sentences


class Inheritance:
    """Gives the weights of a start to fresh networks, for the images that they are trained on.

    What the start's network computes on a fixed sample of the training images is kept from one
    network to the next, while it takes less than `network.inheritance.donor.KEPT`.

    Args:
        start: with its weights read.
        seed: of the choice of images that another design's weights are taken over by.
    """

    def __init__(self, start: Start, images: ImageData, *, seed: int) -> None:
        assert start.held is not None, "read the weights first"
        self._start, self._images, self._seed = start, images, seed
        self._state = start.held.state
        self._donor: Donor | None = None

    def into(self, module: Network, architecture: Architecture) -> Begun:
        """The weights into a fresh network; a design that cannot take them over stays fresh.

        The same arguments give the same weights; the global random state is left alone.

        Args:
            architecture: of the network.

        Raises:
            InvalidSetting: if they are another network's, or not finite.
        """
        origin, count = self._start.origin, class_rows(self._state)
        rows, note = self._rows
        told = (note,) if note else ()
        if origin is None or fits(self._state, architecture):
            notes = _loaded(module, self._state, rows)
            return Begun(
                inherited=_share_as_it_is(module, rows, count),
                new_classifier=self.new_classifier,
                notes=(*notes, *told),
            )
        if not takes_over(architecture):
            return Begun(inherited=0.0)
        shares = take_over(
            module,
            architecture,
            self._giver,
            channels="rebuild",
            observed=self.observed(architecture),
            rows=rows,
        )
        if rows is None and count != len(self._images.classes):
            told = (
                *told,
                f"the weights know {count:,} classes and the data {len(self._images.classes):,}; "
                "the classifier is new and must be trained",
            )
        return Begun(
            inherited=sum(s.inherited for s in shares) / sum(s.params for s in shares),
            new_classifier=self.new_classifier,
            notes=(share_table(shares, origin.name), *told),
        )

    def observed(self, architecture: Architecture) -> Observations:
        """What the start's network does with training images of a network's size."""
        origin, resolution = self._start.origin, architecture.resolution
        assert origin is not None
        count = min(origin.images, affordable(origin.architecture, architecture))
        return self._giver.observed(resolution, lambda: self._sample(count, resolution))

    def seconds(self, module: Network, architecture: Architecture) -> float:
        """How long `into` takes when the start's network has been looked at for this size."""
        if self._start.origin is not None and takes_over(architecture):
            observed = self.observed(architecture)
            _ = observed.moments, observed.arriving
        started = time.perf_counter()
        self.into(module, architecture)
        return time.perf_counter() - started

    def forget(self) -> None:
        """Free what is kept; it is made again when it is needed."""
        self._donor = None

    @property
    def known_classes(self) -> dict[str, int]:
        """Classes of the data that the classifier knows, and their rows."""
        rows, classes = self._rows[0], self._images.classes
        if rows is None:
            same = class_rows(self._state) == len(classes)
            rows = tuple(range(len(classes))) if same else ()
        return {c: r for c, r in zip(classes, rows, strict=False) if r is not None}

    @property
    def new_classifier(self) -> bool:
        """Whether the data has classes that the classifier does not know."""
        rows = self._rows[0]
        if rows is None:
            return class_rows(self._state) != len(self._images.classes)
        return None in rows

    @cached_property
    def _rows(self) -> tuple[tuple[int | None, ...] | None, str | None]:
        """Of each class the row that it keeps, and a sentence, as `models.expected.rows_kept`."""
        known, classes = self._start.known, self._images.classes
        if known is not None:
            places = dict(known)
            return tuple(places.get(name) for name in classes), None
        rows, note = rows_kept(self._start.expected.classes, class_rows(self._state), classes)
        learned = self._start.held.header.learned if self._start.held else None
        if learned is None or {*learned} >= {*classes}:
            return rows, note
        own = rows or tuple(range(len(classes)))
        kept = tuple(r if n in learned else None for r, n in zip(own, classes, strict=True))
        count = sum(row is not None for row in kept)
        return kept, (
            f"the classifier has learned {count} of the {len(classes)} classes; the rest of it is "
            "new and must be trained"
        )

    @property
    def _giver(self) -> Donor:
        if self._donor is None:
            origin = self._start.origin
            assert origin is not None
            self._donor = Donor(self._state, origin.architecture, style=self._start.expected.style)
        return self._donor

    def _sample(self, count: int, resolution: int) -> Tensor:
        """Training images as the network will see them when it is used."""
        images = self._images.train
        chosen = np.random.default_rng(self._seed).permutation(len(images))[:count]
        return to_input(
            images.pixels[np.sort(chosen)],
            resolution=resolution,
            preparation=self._start.expected.preparation,
        )


def takes_over(architecture: Architecture) -> bool:
    """Whether a design can take over weights of another one."""
    try:
        require_kindred(architecture, "network")
    except InvalidSetting:
        return False
    return True


def suited(
    recipe: Recipe, start: Start, architecture: Architecture, *, rate: float = INHERITING_RATE
) -> Recipe:
    """The recipe for a design that begins as `start` says; another one has the recipe as it is.

    Args:
        rate: see `Recipe.inheriting`.
    """
    if start.origin is None or not takes_over(architecture):
        return recipe
    return recipe.inheriting(_left(start.origin, architecture), rate=rate)


def is_cut(start: Start, architecture: Architecture) -> bool:
    """Whether most of the network is gone whose weights a design takes over."""
    return start.origin is not None and _left(start.origin, architecture) < CUT


def _left(origin: Origin, architecture: Architecture) -> float:
    """Multiply-adds of a design by those of the weights' own at the same pixels."""
    whole = replace(
        origin.architecture, resolution=architecture.resolution, aspect=architecture.aspect
    )
    return cost(architecture).macs / cost(whole).macs


def notes_for_space(start: Start, space: SearchSpace) -> list[str]:
    """What a person should know of a start for the designs of a space, in sentences.

    Raises:
        InvalidSetting: if none of the designs can take its weights over.
    """
    notes = list(start.expected.notes)
    if start.origin is None:
        return notes
    stages = [[*_every(choices)] for choices in space.stages]
    parts = [[*_every(space.stem)], *stages, [*_every(space.head)]]
    share = prod(sum(map(is_kindred, options)) / len(options) for options in parts)
    if not share:
        stem, *others, head = (next(filter(is_kindred, found), found[0]) for found in parts)
        nearest = space.architecture_at((0,) * len(space.parameters))
        nearest = replace(nearest, stem=stem, stages=tuple(others), head=head)
        try:
            require_kindred(nearest, "designs")
        except InvalidSetting as problem:
            raise InvalidSetting(
                f"no design of {space.name} can take over weights of {start.origin.name}: {problem}"
            ) from None
    notes.append(
        f"networks begin with weights of {start.label}: each takes over what it can, by "
        f"{start.origin.images} of the training images at most, which is part of its time"
    )
    if share < 1:
        notes.append(
            f"warning: {100 * share:.2g}% of the designs of {space.name} can take over weights; "
            f"those with other blocks than {kindred_in_words()} start fresh, and both are "
            "compared: the column inherited of the trials tells them apart"
        )
    return notes


def notes_for_base(start: Start, base: Architecture) -> list[str]:
    """What a person should know of a start for the designs that a base is scaled to, in sentences.

    Raises:
        InvalidSetting: if they cannot take its weights over.
    """
    notes = list(start.expected.notes)
    if start.origin is None:
        return notes
    try:
        require_kindred(base, "base")
    except InvalidSetting as problem:
        raise InvalidSetting(
            f"the base cannot take over weights of {start.origin.name}: {problem}"
        ) from None
    return [
        *notes,
        f"networks begin with weights of {start.label}: each takes over what it can, by "
        f"{start.origin.images} of the training images at most, which is part of its time",
    ]


def _every(choices: StemChoices | StageChoices | HeadChoices) -> Iterator[Any]:
    """The part of each combination of options, equal ones as often as they come."""
    sizes = [range(len(options)) for _, options in choices.decisions()]
    return (choices.at(indices) for indices in product(*sizes))


def share_table(shares: Sequence[Share], origin: str) -> str:
    """How much of each part of a network came from another design, in a few lines."""
    params, inherited = sum(s.params for s in shares), sum(s.inherited for s in shares)
    cells = [f"{s.part:>11} {100 * s.inherited // s.params:>3}%" for s in shares]
    rows = ["".join(cells[start : start + 5])[1:] for start in range(0, len(cells), 5)]
    title = (
        f"of {params:,} parameters {100 * inherited // params}% begin as {origin}'s, part by part:"
    )
    return "\n".join([title, *rows])


def _share_as_it_is(
    module: nn.Module, rows: Sequence[int | None] | None, count: int | None
) -> float:
    """Of a network's parameters those that weights of its own design gave."""
    classifier = sum(p.numel() for n, p in module.named_parameters() if ".classifier." in n)
    whole = sum(p.numel() for p in module.parameters())
    classes = class_rows(module.state_dict()) or 1
    if rows is None:
        rows = range(classes) if count == classes else ()
    kept = sum(row is not None for row in rows) / classes
    return (whole - classifier * (1 - kept)) / whole


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
