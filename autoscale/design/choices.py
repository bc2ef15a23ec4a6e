"""The options of the parts of a space: of a stem, of a stage and of a head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache
from itertools import product
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BeforeValidator

from autoscale.design.architecture import (
    BLOCK_FIELDS,
    Activation,
    Block,
    Head,
    Ratio,
    Skip,
    Stage,
    Stem,
)
from autoscale.design.blocks.layers import NormKind
from autoscale.design.document import NO_UNKNOWN_KEYS
from autoscale.errors import InvalidSpace

T = TypeVar("T")
Part = TypeVar("Part", Stem, Stage, Head)
Value = str | int | float | bool
Point = tuple[int, ...]  # the index of the chosen option of each parameter


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


_BLOCK_DEPENDENT = frozenset().union(*BLOCK_FIELDS.values())

Options = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]


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


class Choices(Generic[Part]):
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
                candidates.append([i for i, op in enumerate(options) if fits(op, part)])
            elif listens is not None and name in _BLOCK_DEPENDENT - listens:
                candidates.append([0])
            else:
                value = getattr(part, name)
                # A value that the op sets stands in no list of options.
                candidates.append([options.index(value) if value in options else 0])
        return next((i for i in product(*candidates) if self.at(i) == part), None)


@lru_cache(maxsize=65536)
def _part_at(choices: "Choices[Part]", indices: Point) -> Part:
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
class StemChoices(Choices[Stem]):
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
class StageChoices(Choices[Stage]):
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
class HeadChoices(Choices[Head]):
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


def fits(op: Op, part: Stem | Stage | Head) -> bool:
    """Whether a part has every field as an alternative sets it."""
    return all(getattr(part, name, None) == value for name, value in op.settings.items())
