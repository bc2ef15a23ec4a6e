"""The parameters of an Optuna study as the samplers take them: each with the levels that it may be
set to.

A number with more than 32 values is at first taken on 32 levels, spread evenly over its range, on
its own scale if that is logarithmic. As soon as some trials are done, levels are added where the
best of them lie: their own values, and around each of the foremost ones a ladder whose rungs halve
the distance to it, from half of the first spacing down. So a number is searched as finely as is
wanted near what was good, and coarsely elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from autoscale.errors import InvalidSetting

_MOST_LEVELS = 32  # of an integer or float parameter before any trial
_RUNGS = 8  # of a ladder, each half as far from its value as the one before
_FURTHER = 4  # rungs between its value and the nearest that was tried
_DIGITS = 10  # to which places are told apart


@dataclass(frozen=True)
class Axis:
    """One parameter and its levels; `ordered` if near levels are alike.

    Attributes:
        thinned: whether the parameter has values between its levels.
        places: where each level lies between the lowest (0) and the highest value (1), on the
            parameter's own scale; None if they are taken to lie evenly.
    """

    name: str
    distribution: BaseDistribution
    levels: tuple[Any, ...]
    ordered: bool
    thinned: bool = False
    places: tuple[float, ...] | None = None

    @classmethod
    def of(cls, name: str, distribution: BaseDistribution) -> "Axis":
        """A parameter before any trial.

        Raises:
            InvalidSetting: for a kind of distribution that Optuna does not have itself.
        """
        if isinstance(distribution, CategoricalDistribution):
            choices = tuple(distribution.choices)
            return cls(name, distribution, choices, is_ordered(choices))
        if isinstance(distribution, IntDistribution):
            every = range(distribution.low, distribution.high + 1, distribution.step)
            if len(every) <= _MOST_LEVELS:
                return cls(name, distribution, tuple(every), True)
            ints = _on_grid(distribution, _spread(distribution))
            return cls(name, distribution, ints, True, len(ints) < len(every))
        if isinstance(distribution, FloatDistribution):
            floats = _on_grid(distribution, _spread(distribution))
            return cls(name, distribution, floats, True, _has_more(distribution, len(floats)))
        raise InvalidSetting(f"{name}: cannot search a {type(distribution).__name__}")

    def refined(self, around: Sequence[float], kept: Sequence[float]) -> "Axis":
        """This axis with more levels, itself if it has all values already.

        Args:
            around: values between whose neighbours levels are added, closer and closer.
            kept: values that become levels.
        """
        distribution = self.distribution
        if not self.thinned or not isinstance(distribution, IntDistribution | FloatDistribution):
            return self
        values = np.array(kept, dtype=float)
        tried, even = (_place(distribution, np.array(v, float)) for v in (kept, self.levels))
        rungs = [_ladder(place, tried) for place in _place(distribution, np.array(around, float))]
        # No two levels are one but for the last digits.
        values = np.append(values, np.array(self.levels, float)[_apart(even, tried)])
        places = np.unique(np.concatenate(rungs).clip(0.0, 1.0).round(_DIGITS))
        more = places[_apart(places, np.append(tried, even))]
        levels = _on_grid(distribution, np.append(values, _at(distribution, more)))
        return replace(
            self,
            levels=levels,
            thinned=_has_more(distribution, len(levels)),
            places=tuple(_place(distribution, np.array(levels, dtype=float)).tolist()),
        )

    @cached_property
    def index(self) -> dict[Any, int]:
        """The levels that can be looked up: those that can be hashed and equal no other."""
        try:
            found = {level: number for number, level in enumerate(self.levels)}
        except TypeError:
            return {}
        return found if len(found) == len(self.levels) else {}

    def level_of(self, value: Any) -> int | None:
        """The index of the level at `value`, or of the nearest number; None if there is none."""
        if isinstance(self.distribution, CategoricalDistribution):
            try:
                return int(self.distribution.to_internal_repr(value))
            except ValueError:
                return None
        exact = self.index.get(value)
        if exact is not None:
            return exact
        return int(np.argmin([abs(float(level) - float(value)) for level in self.levels]))

    def nearest(self, value: Any) -> int | None:
        """The index of the level at `value`; where all are numbers, of the nearest one."""
        if not any(isinstance(one, bool | str) or one is None for one in (value, *self.levels)):
            return int(np.argmin([abs(float(level) - float(value)) for level in self.levels]))
        return next((i for i, level in enumerate(self.levels) if level == value), None)

    def level_at(self, place: float) -> int:
        """The index of the level nearest to a place; only where there are `places`."""
        return int(np.searchsorted(self._middles, place))

    @cached_property
    def _middles(self) -> np.ndarray:
        places = np.array(self.places)
        return (places[1:] + places[:-1]) / 2

    def place_of(self, level: int) -> float:
        """Where a level lies from 0 to 1."""
        if self.places is not None:
            return self.places[level]
        return level / max(len(self.levels) - 1, 1)


def is_ordered(levels: Sequence[Any]) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels)
    return numbers and len(levels) > 2 and list(levels) in (sorted(levels), sorted(levels)[::-1])


_Number = IntDistribution | FloatDistribution


def _spread(distribution: _Number) -> np.ndarray:
    low, high = distribution.low, distribution.high
    make = np.geomspace if distribution.log else np.linspace
    return np.clip(make(low, high, _MOST_LEVELS if low < high else 1), low, high)


def _ladder(place: float, tried: np.ndarray) -> np.ndarray:
    """Places near one of those that were `tried`, on both sides."""
    first = 1 / (_MOST_LEVELS - 1)
    near = np.abs(tried - place)
    nearest = near.min(initial=first, where=near > 0)
    steps = [first / 2**rung for rung in range(1, _RUNGS + 1)]
    steps += [nearest / 2**rung for rung in range(1, _FURTHER + 1)]
    return place + np.array([0.0, *steps, *(-step for step in steps)])


def _apart(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which places are not among the others."""
    return np.abs(places[:, None] - others).min(axis=1) > 10.0**-_DIGITS


def _on_grid(distribution: _Number, values: np.ndarray) -> tuple[Any, ...]:
    """The nearest values that the parameter can take, ascending, each once."""
    low, high = distribution.low, distribution.high
    values = np.clip(values, float(low), float(high))
    if distribution.step is None:
        return tuple(np.unique(values).tolist())
    counts = sorted(set(((values - low) / distribution.step).round().tolist()))
    if isinstance(distribution, IntDistribution):
        return tuple([min(low + int(count) * distribution.step, high) for count in counts])
    return tuple([min(low + count * distribution.step, high) for count in counts])


def _has_more(distribution: _Number, levels: int) -> bool:
    """Whether a parameter has more values than so many levels."""
    if distribution.step is None:
        return distribution.low < distribution.high
    return round((distribution.high - distribution.low) / distribution.step) + 1 > levels


def _place(distribution: _Number, values: np.ndarray) -> np.ndarray:
    """Where values lie between the lowest (0) and the highest (1)."""
    low, high = _ends(distribution)
    scaled = np.clip(values, distribution.low, distribution.high)
    return ((np.log(scaled) if distribution.log else scaled) - low) / (high - low)


def _at(distribution: _Number, places: np.ndarray) -> np.ndarray:
    """The values at places from 0 to 1."""
    low, high = _ends(distribution)
    scaled = low + places * (high - low)
    return np.exp(scaled) if distribution.log else scaled


def _ends(distribution: _Number) -> tuple[float, float]:
    """The range on the parameter's own scale."""
    low, high = float(distribution.low), float(distribution.high)
    return (log(low), log(high)) if distribution.log else (low, high)
