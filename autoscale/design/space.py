"""Search spaces: an architecture with choices where it has values.

A space is data, one YAML file. Any field may hold a list of options instead of one value, and a
stage may have `op`, a list of alternatives that set several fields together:

    stages:
      - op: [{block: conv}, {block: mbconv, expand_ratio: 3}]
        kernel: [3, 5]
        width: 24

Each list of more than one option is a `Parameter`; one option for each parameter is a point.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property, lru_cache
from itertools import product
from math import prod
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BeforeValidator

from autoscale.design.architecture import (
    BLOCK_FIELDS,
    MOST,
    Activation,
    Architecture,
    Block,
    Head,
    Ratio,
    Skip,
    Stage,
    Stem,
)
from autoscale.design.blocks.layers import NormKind
from autoscale.design.cost import head_cost, stage_cost, stem_cost
from autoscale.design.document import NO_UNKNOWN_KEYS, parse
from autoscale.design.rounding import fit_strides
from autoscale.design.walk import output_size, stem_output_size
from autoscale.errors import InvalidArchitecture, InvalidSetting, InvalidSpace

T = TypeVar("T")
Part = TypeVar("Part", Stem, Stage, Head)
Value = str | int | float | bool
Point = tuple[int, ...]  # the index of the chosen option of each parameter


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


_BLOCK_DEPENDENT = frozenset().union(*BLOCK_FIELDS.values())

Options = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]


class Trial(Protocol):
    """What `suggest` needs of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One alternative of a stage: the fields that it sets."""

    block: Block
    expand_ratio: Ratio | None = None
    kernel: int | None = None
    se_ratio: float | None = None
    skip: Skip | None = None
    activation: Activation | None = None
    groups: int | None = None
    start_kernel: int | None = None

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        for name in self.settings:
            if name in _BLOCK_DEPENDENT - BLOCK_FIELDS[self.block]:
                raise InvalidSpace(f"{self.block} blocks have no {name}; leave it out")

    @property
    def settings(self) -> Mapping[str, Value]:
        """The fields that it sets."""
        return _settings_of(self)

    def __str__(self) -> str:
        rest = [f"{k} {v}" for k, v in self.settings.items() if k != "block"]
        return ", ".join([self.block, *rest])


@cache
def _settings_of(op: Op) -> Mapping[str, Value]:
    found = {f.name: getattr(op, f.name) for f in fields(op)}
    return {name: value for name, value in found.items() if value is not None}


class _Choices(Generic[Part]):
    """What the choices of a stem, of a stage and of a head have in common."""

    part: ClassVar[type[Any]]

    def __post_init__(self) -> None:
        for name, options in self.options():
            if not options:
                raise InvalidSpace(f"{name} needs at least one option")
            if len(set(labels(options))) < len(options):
                raise InvalidSpace(f"{name}: an option stands twice; keep one")
        taken = {name for op in getattr(self, "op", ()) for name in op.settings}
        for name, _ in self.decisions():
            if name in taken:
                raise InvalidSpace(f"{name} is chosen by op as well; choose it in one place")
        # Whether a field is valid depends on the block and on nothing else.
        decisions = self.decisions()
        for varied in range(len(decisions)):
            choices = [
                range(len(options)) if name in ("op", "block") or place == varied else (0,)
                for place, (name, options) in enumerate(decisions)
            ]
            for chosen in product(*choices):
                self.at(chosen)
        self.at((0,) * len(decisions))

    def options(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Name and options of every field that may hold several."""
        found = [(f.name, getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]
        return [(n, v) for n, v in found if isinstance(v, tuple) and not (n == "op" and not v)]

    def decisions(self) -> list[tuple[str, tuple[Any, ...]]]:
        """The fields that do hold several options."""
        return self._decisions

    # A search reads thousands of designs of a space: what never changes is worked out once.

    @cached_property
    def _decisions(self) -> list[tuple[str, tuple[Any, ...]]]:
        return [(name, options) for name, options in self.options() if len(options) > 1]

    @cached_property
    def _firsts(self) -> dict[str, Any]:
        """Every field, those that may hold several options with their first."""
        every = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return every | {name: options[0] for name, options in self.options()}

    def at(self, indices: Point) -> Part:
        """The part with the chosen option of each decision."""
        return _part_at(self, indices)

    def parts(self) -> set[Part]:
        """Every different part."""
        sizes = [range(len(options)) for _, options in self.decisions()]
        return {self.at(indices) for indices in product(*sizes)}

    def indices_of(self, part: Part) -> Point | None:
        """The first option of each decision that gives `part`; None if nothing does."""
        listens = BLOCK_FIELDS[part.block] | {"block"} if isinstance(part, Stage) else None
        candidates = []
        for name, options in self.decisions():
            if name == "op":
                candidates.append([i for i, op in enumerate(options) if _fits(op, part)])
            elif listens is not None and name in _BLOCK_DEPENDENT - listens:
                candidates.append([0])
            else:
                value = getattr(part, name)
                # A value that the op sets stands in no list of options.
                candidates.append([options.index(value) if value in options else 0])
        return next((i for i in product(*candidates) if self.at(i) == part), None)


@lru_cache(maxsize=65536)
def _part_at(choices: "_Choices[Part]", indices: Point) -> Part:
    settings = dict(choices._firsts)
    for (name, options), index in zip(choices.decisions(), indices, strict=True):
        settings[name] = options[index]
    op = settings.pop("op", ())
    if op:
        settings |= op.settings
    if "block" in settings:
        for name in _BLOCK_DEPENDENT - BLOCK_FIELDS[settings["block"]]:
            settings.pop(name, None)
    return choices.part(**settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class StemChoices(_Choices[Stem]):
    """The options of a `Stem`."""

    part = Stem

    width: Options[int]
    kernel: Options[int] = (3,)
    stride: int = 2
    activation: Options[Activation | Literal["none"]] = ("silu",)
    pool: bool = False
    norm: Options[NormKind] = ("batch",)

    __pydantic_config__ = NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChoices(_Choices[Stage]):
    """The options of a `Stage`; `op` sets several of its fields together."""

    part = Stage

    width: Options[int]
    op: tuple[Op, ...] = ()
    block: Options[Block] = ("mbconv",)
    depth: Options[int] = (1,)
    kernel: Options[int] = (3,)
    stride: int = 1
    expand_ratio: Options[Ratio] = (1,)
    se_ratio: Options[float] = (0.0,)
    skip: Options[Skip] = ("identity",)
    activation: Options[Activation] = ("silu",)
    groups: Options[int] = (1,)
    start_kernel: Options[int] = (0,)

    __pydantic_config__ = NO_UNKNOWN_KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadChoices(_Choices[Head]):
    """The options of a `Head`."""

    part = Head

    width: Options[int] = (0,)
    activation: Options[Activation] = ("silu",)
    hidden: Options[int] = (0,)
    norm: Options[NormKind | Literal["none"]] = ("none",)

    __pydantic_config__ = NO_UNKNOWN_KEYS


def labels(options: Sequence[Any]) -> tuple[Value, ...]:
    """Options as plain values, an op by its text."""
    return tuple(str(option) if isinstance(option, Op) else option for option in options)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One decision: `name`, such as ``stage2.kernel``, and its options in the file's order."""

    name: str
    options: tuple[Value | Op, ...]
    labels: tuple[Value, ...] = field(init=False, repr=False, compare=False)  # as Optuna has them

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", labels(self.options))


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A set of architectures, described by the options of each part.

    Raises:
        InvalidSpace: if a combination of options is no network, or an option stands twice.
    """

    name: str
    description: str = ""
    resolution: Options[int]
    stem: StemChoices
    stages: tuple[StageChoices, ...]
    head: HeadChoices = HeadChoices()
    num_classes: int = 10
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
        parameters = [Parameter("resolution", self.resolution)] * (len(self.resolution) > 1)
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

    def for_task(self, *, resolution: int | None = None, num_classes: int) -> "SearchSpace":
        """The same space for other images: classes and, if given, resolution are replaced.

        Where images are too small for the strides of the space, downsampling is taken away as
        `fit_strides` does.

        Raises:
            InvalidSetting: if `resolution` is too small for any map to be left, or for no classes.
        """
        resolutions = self.resolution if resolution is None else (resolution,)
        try:
            space = replace(self, resolution=resolutions, num_classes=num_classes)
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

    # Points and architectures

    @property
    def size(self) -> int:
        """Number of points. Some may be the same network: an identity has no kernel to choose."""
        return prod(len(parameter.options) for parameter in self.parameters)

    def architecture_at(self, point: Sequence[int]) -> Architecture:
        """The architecture of one point.

        A choice that the chosen block does not have is ignored.
        """
        place = int(len(self.resolution) > 1)
        parts: list[Any] = []
        for _, choices in self._groups():
            end = place + len(choices.decisions())
            parts.append(choices.at(tuple(point[place:end])))
            place = end
        return Architecture(
            resolution=self.resolution[point[0] if len(self.resolution) > 1 else 0],
            stem=parts[0],
            stages=tuple(parts[1:-1]),
            head=parts[-1],
            num_classes=self.num_classes,
        )

    def point_of(self, architecture: Architecture) -> Point | None:
        """The first point that gives `architecture`; None if there is none in this space."""
        parts = (architecture.stem, *architecture.stages, architecture.head)
        if (
            len(architecture.stages) != len(self.stages)
            or architecture.resolution not in self.resolution
            or architecture.num_classes != self.num_classes
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
        return self.architecture_at([rng.randrange(len(p.options)) for p in self.parameters])

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
        """Least and most multiply-adds of any architecture of the space, exactly.

        A stage's cost depends on earlier choices only through width and size, so the extremes
        follow stage by stage.
        """
        least: list[int] = []
        most: list[int] = []
        for resolution in self.resolution:
            reached: dict[int, tuple[int, int]] = {}
            for stem in self.stem.parts():
                macs = stem_cost(stem, resolution).macs
                _widen(reached, stem.width, macs, macs)
                size = stem_output_size(stem, resolution)  # its strides are no choices
            for choices in self.stages:
                after: dict[int, tuple[int, int]] = {}
                for stage in choices.parts():
                    for width_in, (low, high) in reached.items():
                        macs = stage_cost(stage, width_in, size).macs
                        _widen(after, stage.width, low + macs, high + macs)
                reached = after
                size = output_size(size, choices.stride)
            for width_in, (low, high) in reached.items():
                heads = [
                    head_cost(head, width_in, size, self.num_classes).macs
                    for head in self.head.parts()
                ]
                least.append(low + min(heads))
                most.append(high + max(heads))
        return min(least), max(most)

    # Inside

    def _groups(self) -> Iterator[tuple[str, _Choices[Any]]]:
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


def _fits(op: Op, part: Stem | Stage | Head) -> bool:
    return all(getattr(part, name, None) == value for name, value in op.settings.items())


def _widen(ranges: dict[int, tuple[int, int]], key: int, low: int, high: int) -> None:
    before = ranges.get(key, (low, high))
    ranges[key] = (min(before[0], low), max(before[1], high))
