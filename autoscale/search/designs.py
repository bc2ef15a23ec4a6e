"""The designs a study chooses from, as points: one level index for each parameter.

This is what the samplers think in. It is made from a `SearchSpace`, or from the distributions of
any Optuna study; then every parameter is taken at its word and nothing is known of costs.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.reading import Macs, Reader, Reading

Params = Mapping[str, Any]
Point = tuple[int, ...]
#: What a callable of the user's is asked about: the architecture where the samplers know the
#: search space, else the parameters.
Design = Any

_MOST_LEVELS = 32  # of an integer or float parameter; more are thinned out evenly
_REMEMBERED = 50_000  # designs whose description is kept


@dataclass(frozen=True)
class Axis:
    """One parameter and its levels; `ordered` if near levels are alike."""

    name: str
    distribution: BaseDistribution
    levels: tuple[Any, ...]
    ordered: bool

    @cached_property
    def index(self) -> dict[Any, int]:
        return {level: number for number, level in enumerate(self.levels)}

    def level_of(self, value: Any) -> int | None:
        """The index of the level at `value`, or of the nearest number; None if there is none."""
        exact = self.index.get(value)
        if exact is not None or isinstance(self.distribution, CategoricalDistribution):
            return exact
        return int(np.argmin([abs(float(level) - float(value)) for level in self.levels]))


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of one design without training it.

    Attributes:
        identity: a number, equal for designs that are one network; another one in each process.
        normal: one and the same point for points that are easily seen to be one network.
        features: numbers that tell costs and shape, not yet standardised.
        read: what the rest was read from.
    """

    identity: int
    normal: Point
    features: tuple[float, ...]
    read: Reading | Params

    @property
    def design(self) -> Design:
        """The architecture, or the parameters where there is no search space."""
        return self.read.architecture if isinstance(self.read, Reading) else self.read


@dataclass(frozen=True)
class Designs:
    """A set of designs.

    Args:
        axes: the parameters.
        space: where the parameters are those of a search space.
        identify: what two equal designs share; by default the built network, or the parameters
            if there is no space.
    """

    axes: tuple[Axis, ...]
    space: SearchSpace | None = None
    identify: Callable[[Design], Hashable] | None = None
    _described: dict[Point, Description] = field(default_factory=dict, repr=False, compare=False)
    _measured: dict[Any, dict[Point, float]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _trials: dict[int, tuple[Params, Point | None]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of_space(
        cls, space: SearchSpace, identify: Callable[[Design], Hashable] | None = None
    ) -> "Designs":
        """The designs of a search space, with the parameters that `space.suggest` asks for."""
        axes = [
            Axis(p.name, CategoricalDistribution(p.labels), p.labels, _is_ordered(p.labels))
            for p in space.parameters
        ]
        return cls(tuple(axes), space, identify)

    @classmethod
    def of_distributions(
        cls,
        distributions: Mapping[str, BaseDistribution],
        identify: Callable[[Design], Hashable] | None = None,
    ) -> "Designs":
        """The designs of any Optuna search space; numbers are taken on at most 32 levels."""
        axes = [_axis(name, distributions[name]) for name in sorted(distributions)]
        return cls(tuple(axes), None, identify)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {axis.name: axis.distribution for axis in self.axes}

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(axis.levels) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points, equal networks counted as often as they occur."""
        return prod(self.sizes)

    def params_of(self, point: Point) -> dict[str, Any]:
        return {axis.name: axis.levels[i] for axis, i in zip(self.axes, point, strict=True)}

    def point_of(self, params: Params) -> Point | None:
        """The point of `params`; None if they are not parameters of these designs."""
        try:
            return tuple([index[params[name]] for name, index in self._indices])
        except KeyError:
            pass  # other parameters, or a number between two levels
        found = []
        for axis in self.axes:
            level = axis.level_of(params[axis.name]) if axis.name in params else None
            if level is None:
                return None
            found.append(level)
        return tuple(found)

    def point_of_trial(self, trial: FrozenTrial) -> Point | None:
        """The same of a trial's parameters; remembered once the trial is finished."""
        params = trial.params
        found = self._trials.get(trial.number)
        # A finished trial's parameters stay; another study's are another dictionary.
        if found is not None and found[0] is params:
            return found[1]
        point = self.point_of(params)
        if trial.state.is_finished():
            self._trials[trial.number] = (params, point)
        return point

    @cached_property
    def _indices(self) -> list[tuple[str, dict[Any, int]]]:
        return [(axis.name, axis.index) for axis in self.axes]

    def random(self, rng: np.random.Generator) -> Point:
        """A point, uniformly."""
        return tuple(rng.integers(0, self.sizes).tolist())

    def mutated(self, point: Point, rng: np.random.Generator, changes: int = 1) -> Point:
        """`point` with `changes` choices made anew, each different from before."""
        changed = list(point)
        free = self._free
        left = min(changes, len(free))
        while left:
            place = free[int(rng.random() * len(free))]
            if changed[place] == point[place]:
                size = self.sizes[place]
                changed[place] = (point[place] + 1 + int(rng.random() * (size - 1))) % size
                left -= 1
        return tuple(changed)

    @cached_property
    def _free(self) -> list[int]:
        return [place for place, size in enumerate(self.sizes) if size > 1]

    def describe(self, point: Point) -> Description:
        """What is known of a design without training it; remembered."""
        found = self._described.get(point)
        if found is None:
            if len(self._described) >= _REMEMBERED:
                self._described.clear()
            found = self._described[point] = self._describe(point)
        return found

    def identity(self, point: Point) -> int:
        return self.describe(point).identity

    def measured(self, points: Sequence[Point], measure: Callable[[Design], float]) -> np.ndarray:
        """What `measure` says of each design; remembered."""
        known = self._measured.setdefault(measure, {})
        if len(known) >= _REMEMBERED:
            known.clear()
        for point in points:
            if point not in known:
                known[point] = self._measure(point, measure)
        return np.array([known[point] for point in points])

    def violation(self, point: Point, limits: Sequence[Callable[[Design], float]]) -> float:
        """The sum by which a design exceeds limits, each of them 0; 0 if it keeps all."""
        return sum(max(0.0, float(self.measured([point], limit)[0])) for limit in limits)

    def _measure(self, point: Point, measure: Callable[[Design], float]) -> float:
        read = self.describe(point).read
        if isinstance(measure, Macs) and isinstance(read, Reading):
            return measure.of_reading(read)
        return float(measure(self.describe(point).design))

    def _describe(self, point: Point) -> Description:
        if self._reader is not None:
            read = self._reader.read(point)
            identity = read.identity
            if self.identify is not None:
                identity = hash((self.identify(read.architecture),))
            return Description(identity, read.normal, read.features, read)
        params = self.params_of(point)
        shared = self.identify(params) if self.identify is not None else point
        return Description(hash((shared,)), point, self._numbers(point), params)

    @cached_property
    def _reader(self) -> Reader | None:
        return Reader(self.space) if self.space is not None else None

    def _numbers(self, point: Point) -> tuple[float, ...]:
        return tuple(
            [
                i / max(len(a.levels) - 1, 1)
                for a, i in zip(self.axes, point, strict=True)
                if a.ordered
            ]
        )

    def codes(self, points: Sequence[Point]) -> np.ndarray:
        """Shape (points, columns), each number between 0 and 1; the product of two rows is the
        share of choices that agree. Points of one network have the same row where that is easily
        seen; see `reading.Reading.normal`."""
        normal = chain.from_iterable([self.describe(point).normal for point in points])
        levels = np.fromiter(normal, int, len(points) * len(self.axes))
        levels = levels.reshape(len(points), len(self.axes))
        parts = [
            table[levels[:, axes]].reshape(len(points), len(axes) * table.shape[1])
            for axes, table in self._code_tables
        ]
        return np.concatenate([np.zeros((len(points), 0)), *parts], axis=1)

    @cached_property
    def _code_tables(self) -> list[tuple[list[int], np.ndarray]]:
        """The code of each level, and the axes whose levels have these codes.

        Ordered levels are told by the steps below them, so that the product of two codes falls
        linearly with their distance; others by which of them it is.
        """
        alike: dict[tuple[int, bool], list[int]] = {}
        for place, (axis, size) in enumerate(zip(self.axes, self.sizes, strict=True)):
            if size > 1:
                alike.setdefault((size, axis.ordered), []).append(place)
        free = max(sum(map(len, alike.values())), 1)
        tables = []
        for (size, ordered), axes in alike.items():
            if ordered:
                below = np.tri(size, size - 1, -1)
                table = np.concatenate([below, 1 - below], axis=1) / np.sqrt(free * (size - 1))
            else:
                table = np.eye(size) / np.sqrt(free)
            tables.append((axes, table))
        return tables


def neighbours(designs: Designs, point: Point) -> list[Point]:
    """Every point that is one changed choice away."""
    return [
        (*point[:place], level, *point[place + 1 :])
        for place, size in enumerate(designs.sizes)
        for level in range(size)
        if level != point[place]
    ]


def _is_ordered(levels: Sequence[Any]) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels)
    return numbers and len(levels) > 2 and list(levels) in (sorted(levels), sorted(levels)[::-1])


def _axis(name: str, distribution: BaseDistribution) -> Axis:
    if isinstance(distribution, CategoricalDistribution):
        choices = tuple(distribution.choices)
        return Axis(name, distribution, choices, _is_ordered(choices))
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        every = range(low, high + 1, distribution.step)
        if len(every) <= _MOST_LEVELS:
            return Axis(name, distribution, tuple(every), True)
        counts = (_spread(low, high, distribution.log) - low) / distribution.step
        levels = low + np.unique(counts.round().astype(int)) * distribution.step
        return Axis(name, distribution, tuple(levels.tolist()), True)
    if isinstance(distribution, FloatDistribution):
        return Axis(name, distribution, _float_levels(distribution), True)
    raise InvalidSetting(f"{name}: cannot search a {type(distribution).__name__}")


def _float_levels(distribution: FloatDistribution) -> tuple[float, ...]:
    low, high = distribution.low, distribution.high
    if low == high:
        return (low,)
    values = _spread(low, high, distribution.log)
    if distribution.step is not None:
        counts = np.unique(((values - low) / distribution.step).round())
        values = np.minimum(low + counts * distribution.step, high)
    return tuple(values.tolist())


def _spread(low: float, high: float, logarithmic: bool) -> np.ndarray:
    make = np.geomspace if logarithmic else np.linspace
    return np.clip(make(low, high, _MOST_LEVELS), low, high)
