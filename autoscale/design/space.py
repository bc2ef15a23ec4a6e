"""Search spaces: an architecture with choices where it has values.

A space is data, one YAML file. Any field may hold a list of options instead of one value, and a
stage may have `op`, a list of alternatives that set several fields together:

    stages:
      - op: [{block: conv}, {block: mbconv, expand_ratio: 3}]
        kernel: [3, 5]
        width: 24

`activation` beside `resolution` is that of every part that has one, chosen once for the network.
`channels: 1` beside it makes the images grey, `channels: 6` arrays of six bands: no choice.
`aspect: 4/3` beside it makes their width four thirds of their height, which is the resolution.
Each list of more than one option is a `Parameter`; one option for each parameter is a point.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np

from autoscale.aspect import SQUARE, Aspect
from autoscale.design.architecture import (
    MOST,
    Activation,
    Architecture,
    WrittenAspect,
    require_aspect,
    require_channels,
)
from autoscale.design.blocks.layers import map_size
from autoscale.design.choices import (
    Choices,
    HeadChoices,
    Op,
    Options,
    Point,
    StageChoices,
    StemChoices,
    Value,
    labels,
)
from autoscale.design.costs import PartMacs, extremes, macs_at, macs_tables
from autoscale.design.document import NO_UNKNOWN_KEYS, parse
from autoscale.design.rounding import fit_strides
from autoscale.errors import InvalidArchitecture, InvalidSetting, InvalidSpace


class Trial(Protocol):
    """What `suggest` needs of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """One decision: `name`, such as ``stage2.kernel``, and its options in the file's order."""

    name: str
    options: tuple[Value | Op, ...]
    labels: tuple[Value, ...] = field(init=False, repr=False, compare=False)  # as Optuna has them

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", labels(self.options))


_PLAIN_HEAD = HeadChoices()


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A set of architectures, described by the options of each part.

    Raises:
        InvalidSpace: if a combination of options is no network, or an option stands twice.
    """

    name: str
    description: str = ""
    resolution: Options[int]
    channels: int = 3  # of the images: 3 in RGB, 1 in grey, or bands
    aspect: WrittenAspect = SQUARE  # of the images: width / height
    stem: StemChoices
    stages: tuple[StageChoices, ...]
    head: HeadChoices = _PLAIN_HEAD
    num_classes: int = 10
    activation: Options[Activation] = ()  # of all parts; () leaves it to each
    parameters: tuple[Parameter, ...] = field(init=False, repr=False, compare=False)

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        if not self.stages:
            raise InvalidSpace("a space needs at least one stage")
        if not self.resolution or len(set(self.resolution)) < len(self.resolution):
            raise InvalidSpace(f"resolution needs different options, got {list(self.resolution)}")
        if min(self.resolution) < 1:
            raise InvalidSpace(
                f"resolution must be a whole number of at least 1, got {min(self.resolution)}"
            )
        if max(self.resolution) > MOST:
            raise InvalidSpace(f"resolution must be at most {MOST:,}, got {max(self.resolution)}")
        try:
            require_channels(self.channels)
            require_aspect(self.aspect, max(self.resolution))
        except InvalidArchitecture as problem:
            raise InvalidSpace(str(problem)) from None
        self._require_one_activation()
        parameters = [Parameter("resolution", self.resolution)] * (len(self.resolution) > 1)
        parameters += [Parameter("activation", self.activation)] * (len(self.activation) > 1)
        for group, choices in self._groups():
            parameters += [Parameter(f"{group}.{n}", o) for n, o in choices.decisions()]
        object.__setattr__(self, "parameters", tuple(parameters))
        self.architecture_at((0,) * len(parameters))

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "space") -> "SearchSpace":
        """Read a space from YAML text; `source` names it in errors.

        Raises:
            InvalidSpace: naming the line and the key at fault.
        """
        return parse(text, cls, source=source, error=InvalidSpace, kind="space")

    def for_task(
        self, *, resolution: int | None = None, num_classes: int, aspect: Aspect | None = None
    ) -> "SearchSpace":
        """The same space for other images: classes and, if given, resolution and aspect are
        replaced.

        Where images are too small for the strides of the space, downsampling is taken away as
        `fit_strides` does.

        Raises:
            InvalidSetting: if `resolution` is too small for any map to be left, or for no classes.
        """
        resolutions = self.resolution if resolution is None else (resolution,)
        aspect = self.aspect if aspect is None else aspect
        try:
            space = replace(self, resolution=resolutions, num_classes=num_classes, aspect=aspect)
            first = space.architecture_at((0,) * len(space.parameters))
            fitted = fit_strides(replace(first, resolution=min(resolutions)))
        except (InvalidArchitecture, InvalidSpace) as problem:
            raise InvalidSetting(str(problem)) from None
        return replace(
            space,
            stem=replace(
                space.stem,
                stride=fitted.stem.stride,
                pool=fitted.stem.pool,
                kernel=(
                    space.stem.kernel
                    if fitted.stem.kernel == first.stem.kernel
                    else (fitted.stem.kernel,)  # patches, whose kernel is no choice
                ),
            ),
            stages=tuple(
                replace(choices, stride=stage.stride)
                for choices, stage in zip(space.stages, fitted.stages, strict=True)
            ),
        )

    # Variants: a space with a choice for all parts is as many spaces without.

    @cached_property
    def variants(self) -> "tuple[SearchSpace, ...]":
        """For each option of `activation` the space whose every part has it; itself if none."""
        return tuple(
            replace(
                self,
                activation=(),
                stem=replace(self.stem, activation=(act,)) if self._activated else self.stem,
                stages=tuple(replace(choices, activation=(act,)) for choices in self.stages),
                head=replace(self.head, activation=(act,)),
            )
            for act in self.activation
        ) or (self,)

    def variant_of(self, point: Point) -> tuple[int, Point]:
        """Which variant a point lies in, and which of its points it is there."""
        if len(self.activation) < 2:
            return 0, point
        place = int(len(self.resolution) > 1)
        return point[place], (*point[:place], *point[place + 1 :])

    def with_variant(self, point: Point, number: int) -> Point:
        """The point of this space that `point` is of the variant `number`."""
        if len(self.activation) < 2:
            return point
        place = int(len(self.resolution) > 1)
        return (*point[:place], number, *point[place:])

    @property
    def _activated(self) -> bool:
        """Whether the stem has an activation."""
        return self.stem.activation != ("none",)

    def _require_one_activation(self) -> None:
        if not self.activation:
            return
        if len(set(self.activation)) < len(self.activation):
            raise InvalidSpace("activation: an option stands twice; keep one")
        groups = [(name, one) for name, one in self._groups() if name != "stem" or self._activated]
        for name, choices in groups:
            own = dict(choices.options()).get("activation")
            if own != ("silu",) or any(
                op.activation is not None for op in getattr(choices, "op", ())
            ):
                raise InvalidSpace(
                    f"activation is chosen for the whole network; leave it out of {name}"
                )

    # Points and architectures

    @property
    def size(self) -> int:
        """Number of points. Some may be the same network: an identity has no kernel to choose."""
        return prod(len(parameter.options) for parameter in self.parameters)

    def architecture_at(self, point: Sequence[int]) -> Architecture:
        """The architecture of one point.

        A choice that the chosen block does not have is ignored.
        """
        if self.activation:
            chosen, rest = self.variant_of(tuple(point))
            return self.variants[chosen].architecture_at(rest)
        place = int(len(self.resolution) > 1)
        parts: list[Any] = []
        for _, choices in self._groups():
            end = place + len(choices.decisions())
            parts.append(choices.at(tuple(point[place:end])))
            place = end
        return Architecture(
            resolution=self.resolution[point[0] if len(self.resolution) > 1 else 0],
            channels=self.channels,
            aspect=self.aspect,
            stem=parts[0],
            stages=tuple(parts[1:-1]),
            head=parts[-1],
            num_classes=self.num_classes,
        )

    def point_of(self, architecture: Architecture) -> Point | None:
        """The first point that gives `architecture`; None if there is none in this space."""
        if self.activation:
            found = ((i, one.point_of(architecture)) for i, one in enumerate(self.variants))
            return next((self.with_variant(p, i) for i, p in found if p is not None), None)
        parts = (architecture.stem, *architecture.stages, architecture.head)
        if (
            len(architecture.stages) != len(self.stages)
            or architecture.resolution not in self.resolution
            or architecture.num_classes != self.num_classes
            or architecture.channels != self.channels
            or architecture.aspect != self.aspect
        ):
            return None
        point: Point = ()
        if len(self.resolution) > 1:
            point = (self.resolution.index(architecture.resolution),)
        for (_, choices), part in zip(self._groups(), parts, strict=True):
            indices = choices.indices_of(part)
            if indices is None:
                return None
            point += indices
        return point

    def contains(self, architecture: Architecture) -> bool:
        """Whether some point gives `architecture`."""
        return self.point_of(architecture) is not None

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture drawn uniformly over points."""
        return self.architecture_at(self.draw(rng))

    def draw(self, rng: random.Random) -> Point:
        """A point drawn uniformly: what `randrange` gives for each parameter, in less time.

        Bits are drawn until they are a number below the count, as Python does it.
        """
        point, bits = [], rng.getrandbits
        for count in self._counts:
            width = count.bit_length()
            drawn = bits(width)
            while drawn >= count:
                drawn = bits(width)
            point.append(drawn)
        return tuple(point)

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        """Of the options of each parameter."""
        return tuple(len(parameter.options) for parameter in self.parameters)

    def suggest(self, trial: Trial) -> Architecture:
        """The architecture that an Optuna trial asks for, one categorical for each parameter."""
        return self.architecture_at(
            [p.labels.index(trial.suggest_categorical(p.name, p.labels)) for p in self.parameters]
        )

    def from_params(self, params: Mapping[str, Value]) -> Architecture:
        """The architecture of a finished Optuna trial's parameters."""
        return self.architecture_at([p.labels.index(params[p.name]) for p in self.parameters])

    def params_of(self, architecture: Architecture) -> dict[str, Value]:
        """The parameters with which Optuna would ask for `architecture`.

        Raises:
            InvalidSetting: if the space does not contain it.
        """
        point = self._require_point(architecture)
        return {p.name: p.labels[i] for p, i in zip(self.parameters, point, strict=True)}

    def enumerate(self) -> Iterator[Architecture]:
        """Every different architecture, in the order of the points."""
        seen: set[Architecture] = set()
        for point in product(*(range(len(p.options)) for p in self.parameters)):
            architecture = self.architecture_at(point)
            if architecture not in seen:
                seen.add(architecture)
                yield architecture

    def macs_range(self) -> tuple[int, int]:
        """Least and most multiply-adds of any architecture of the space, exactly."""
        return extremes(self._macs_tables)

    def macs_of(self, points: Sequence[Sequence[int]]) -> list[int]:
        """The multiply-adds of `architecture_at` each of many points, exactly."""
        rows = np.array(points, dtype=np.intp).reshape(len(points), len(self.parameters))
        several = int(len(self.resolution) > 1)
        resolutions = rows[:, 0] if several else np.zeros(len(rows), dtype=np.intp)
        # An activation for the whole network costs nothing.
        return macs_at(
            self._macs_tables, rows[:, several + (len(self.activation) > 1) :], resolutions
        )

    @cached_property
    def _macs_tables(self) -> list[PartMacs]:
        return macs_tables(
            [choices for _, choices in self._groups()],
            channels=self.channels,
            sizes=[map_size(resolution, self.aspect) for resolution in self.resolution],
            num_classes=self.num_classes,
        )

    # Inside

    def _groups(self) -> Iterator[tuple[str, Choices[Any]]]:
        """The choices of each part in order, with the part's name."""
        yield "stem", self.stem
        for number, stage in enumerate(self.stages, start=1):
            yield f"stage{number}", stage
        yield "head", self.head

    def _require_point(self, architecture: Architecture) -> Point:
        point = self.point_of(architecture)
        if point is None:
            raise InvalidSetting(f"the space {self.name!r} does not contain this architecture")
        return point
