"""The designs a study chooses from, as points: one level index for each parameter.

This is what the samplers think in. It is made from a `SearchSpace`, or from the trials of any
Optuna study; then every parameter is taken at its word and nothing is known of costs. A design of a
study may lack parameters that others have; see `conditions`.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import isfinite, prod
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autoscale.design.space import SearchSpace
from autoscale.search.batched import Batched, Measure
from autoscale.search.model.axes import Axis, is_ordered
from autoscale.search.model.conditions import (
    ABSENT,
    Tree,
    broken_off,
    complete,
    conditional,
    expected,
    inside,
    learn,
    parameters,
    presence,
)
from autoscale.search.model.design_facts import (
    Description,
    DesignFacts,
    DesignNumbers,
    ExactCost,
    Excess,
    FactReader,
)
from autoscale.search.model.leading import leaders
from autoscale.search.scored import LeadingTrials, Point, Score

Params = Mapping[str, Any]
_REMEMBERED = 50_000  # designs whose description is kept
_AROUND = 3  # different values of the best trials around which a number is searched finely


@dataclass(frozen=True)
class Designs:
    """A set of designs.

    Args:
        axes: the parameters.
        space: where the parameters are those of a search space.
        tree: which parameters a design has; None if each has all.
        loose: parameters that are not among the axes, since their range differs from trial to
            trial; a point does not say all of a design then.
    """

    axes: tuple[Axis, ...]
    space: SearchSpace | None = None
    tree: Tree | None = None
    loose: tuple[str, ...] = ()
    _described: dict[Point, DesignFacts | Description] = field(
        default_factory=dict, repr=False, compare=False
    )
    _measured: dict[Any, dict[Point, float]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _trials: dict[int, tuple[Params, Point | None]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _scores: dict[int, tuple[Params, Score]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _last: list[tuple[list[Point], DesignNumbers]] = field(
        default_factory=list, repr=False, compare=False
    )
    _leading: LeadingTrials = field(default_factory=LeadingTrials, repr=False, compare=False)

    @classmethod
    def of_space(cls, space: SearchSpace) -> "Designs":
        """The designs of a search space, with the parameters that `space.suggest` asks for."""
        axes = [
            Axis(p.name, CategoricalDistribution(p.labels), p.labels, is_ordered(p.labels))
            for p in space.parameters
        ]
        return cls(tuple(axes), space)

    @classmethod
    def of_distributions(cls, distributions: Mapping[str, BaseDistribution]) -> "Designs":
        """The designs of any Optuna search space; see `axes` for the levels of numbers."""
        axes = [Axis.of(name, distributions[name]) for name in sorted(distributions)]
        return cls(tuple(axes))

    @classmethod
    def of_trials(
        cls, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
    ) -> "Designs":
        """The designs of an Optuna study as its complete trials show them.

        Numbers have more levels near the values of the best trials; see `axes` and `leaders`.
        """
        distributions, loose = parameters(trials)
        fitting = [trial for trial in complete(trials) if inside(trial.params, distributions)]
        found = replace(cls.of_distributions(distributions), loose=tuple(loose))
        if found.thinned:
            found = replace(found, axes=_refined(found.axes, leaders(fitting, directions)))
        if not conditional(fitting, distributions):
            # Only those that were broken off may lack a parameter.
            some = conditional([t for t in trials if broken_off(t)], distributions)
            return replace(found, tree=(True,) * len(found.axes)) if some else found
        tried = [found._levels(trial.params) for trial in fitting]
        return replace(found, tree=learn(tried, [axis.ordered for axis in found.axes]))

    def like(self, other: "Designs") -> bool:
        """Whether the two are the same designs of a study, whatever either remembers."""
        return (self.axes, self.tree, self.loose) == (other.axes, other.tree, other.loose)

    @property
    def whole(self) -> bool:
        """Whether a point says all of a design."""
        return not self.loose

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {axis.name: axis.distribution for axis in self.axes}

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(axis.levels) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points, equal networks counted as often as they occur."""
        return prod(self.sizes)

    @property
    def thinned(self) -> bool:
        """Whether there are designs between the points."""
        return any(axis.thinned for axis in self.axes)

    def params_of(self, point: Point) -> dict[str, Any]:
        return {
            axis.name: axis.levels[i]
            for axis, i in zip(self.axes, point, strict=True)
            if i != ABSENT
        }

    def _levels(self, params: Params) -> Point:
        """The level of each parameter, ABSENT where there is none."""
        found = [
            axis.level_of(params[axis.name]) if axis.name in params else None for axis in self.axes
        ]
        return tuple([ABSENT if level is None else level for level in found])

    def point_of(self, params: Params) -> Point | None:
        """The point of `params`; None if they are not parameters of these designs."""
        try:
            return tuple([index[params[name]] for name, index in self._indices])
        except (KeyError, TypeError):
            pass  # other parameters, a number between two levels, a value that is looked for
        found = self._levels(params)
        there = (True,) * len(found) if self.tree is None else expected(self.tree, found)
        return found if presence(found) == there else None

    def point_of_trial(self, trial: FrozenTrial) -> Point | None:
        """The point of a trial's parameters, None if they are of other designs; remembered once the
        trial is finished."""
        params = trial.params
        found = self._trials.get(trial.number)
        # A finished trial's parameters stay; another study's are another dictionary.
        if found is not None and found[0] is params:
            return found[1]
        point: Point | None
        if not inside(params, self.distributions):
            point = None
        elif self.tree is not None and trial.state is TrialState.COMPLETE:
            point = self._levels(params)
        else:
            point = self.point_of(params)
            if point is None and self.tree is not None and broken_off(trial):
                # What it asked for tells where it was, which is where it failed.
                levels = self._levels(params)
                point = levels if any(presence(levels)) else None
        if trial.state.is_finished():
            self._trials[trial.number] = (params, point)
        return point

    def leading(self, trials: Sequence[FrozenTrial]) -> LeadingTrials:
        """The first of `trials`, as far as each has a score."""
        self._leading.follow(trials, self.score_of_trial, self.identity)
        return self._leading

    def score_of_trial(self, trial: FrozenTrial) -> Score | None:
        """What a trial told of one of these designs, remembered; None if it has no finite score."""
        found = self._scores.get(trial.number)
        if found is not None and found[0] is trial.params:
            return found[1]
        if trial.state is not TrialState.COMPLETE or (point := self.point_of_trial(trial)) is None:
            return None
        values = trial.values
        if values is None or not all(map(isfinite, values)):
            return None
        score = Score(point, tuple(values), trial.constraints)
        self._scores[trial.number] = (trial.params, score)
        return score

    def completed(self, point: Point, others: Iterable[Point]) -> list[Point]:
        """The designs that a trial may have been of which asked for the parameters of `point`
        alone: what it did not come to is as in each of `others`."""
        there = (True,) * len(point) if self.tree is None else expected(self.tree, point)
        wants = [level == ABSENT and has for level, has in zip(point, there, strict=True)]
        if not any(wants):
            return [point]
        found = [
            tuple(
                [
                    max(theirs, 0) if want else own
                    for own, theirs, want in zip(point, other, wants, strict=True)
                ]
            )
            for other in others
        ]
        return list(dict.fromkeys(found)) or [point]

    @cached_property
    def _indices(self) -> list[tuple[str, dict[Any, int]]]:
        return [(axis.name, axis.index) for axis in self.axes]

    def random(self, rng: np.random.Generator) -> Point:
        """A point, uniformly; where levels lie unevenly, uniformly over the range."""
        point = rng.integers(0, self.sizes).tolist()
        for place in self._uneven:
            point[place] = self.axes[place].level_at(rng.random())
        return tuple(point)

    def all_random(self, count: int, rng: np.random.Generator) -> list[Point]:
        """`count` points, as if drawn one after the other."""
        if self._uneven:
            return [self.random(rng) for _ in range(count)]
        drawn = rng.integers(0, self.sizes, size=(count, len(self.sizes)))
        return list(map(tuple, drawn.tolist()))

    @cached_property
    def _uneven(self) -> list[int]:
        return [place for place, axis in enumerate(self.axes) if axis.places is not None]

    def mutated(self, point: Point, rng: np.random.Generator, changes: int = 1) -> Point:
        """`point` with `changes` choices made anew, each different from before; choices that it did
        not have are drawn."""
        if self.tree is not None:
            drawn = self.random(rng)
            point = tuple([b if a == ABSENT else a for a, b in zip(point, drawn, strict=True)])
        return self._changed(point, changes, rng.random)

    def all_mutated(
        self, points: Sequence[Point], rng: np.random.Generator, changes: Sequence[int]
    ) -> list[Point]:
        """Each of `points` `mutated`, as if one after the other."""
        pairs = zip(points, changes, strict=True)
        if self.tree is not None:
            return [self.mutated(point, rng, count) for point, count in pairs]
        # Random numbers are drawn together, as far as it is certain that they are needed.
        least = 2 * sum([min(count, len(self._free)) for count in changes])
        draw = chain(rng.random(least).tolist(), iter(rng.random, None)).__next__
        return [self._changed(point, count, draw) for point, count in pairs]

    def _changed(self, point: Point, changes: int, draw: Callable[[], float]) -> Point:
        changed = list(point)
        free, sizes = self._free, self.sizes
        left = min(changes, len(free))
        while left:
            place = free[int(draw() * len(free))]
            if changed[place] == point[place]:
                size = sizes[place]
                changed[place] = (point[place] + 1 + int(draw() * (size - 1))) % size
                left -= 1
        return tuple(changed)

    @cached_property
    def _free(self) -> list[int]:
        return [place for place, size in enumerate(self.sizes) if size > 1]

    def describe(self, point: Point) -> DesignFacts | Description:
        """What is known of a design without training it; remembered."""
        found = self._described.get(point)
        if found is None:
            if len(self._described) >= _REMEMBERED:
                self._described.clear()
            found = self._described[point] = self._describe(point)
        return found

    def identity(self, point: Point) -> int:
        return self.describe(point).identity

    def measured(self, points: Sequence[Point], measure: Measure) -> np.ndarray:
        """What `measure` says of each design; remembered."""
        return self.remembered(measure, points, lambda new: self._measure(new, measure))

    def remembered(
        self, key: Hashable, points: Sequence[Point], ask: Callable[[list[Point]], Iterable[float]]
    ) -> np.ndarray:
        """A number of each design, `ask`ed for where it is not known yet under `key`."""
        known = self._measured.setdefault(key, {})
        if len(known) >= _REMEMBERED:
            known.clear()
        new = [point for point in dict.fromkeys(points) if point not in known]
        if new:
            known.update(zip(new, ask(new), strict=True))
        return np.array([known[point] for point in points])

    def nearest(self, params: Params) -> Point | None:
        """The point of the levels nearest to `params`; None if one of them is missing or unlike
        all levels."""
        found = [
            axis.nearest(params[axis.name]) if axis.name in params else None for axis in self.axes
        ]
        return None if None in found else tuple([level for level in found if level is not None])

    def violations(self, points: Sequence[Point], limits: Sequence[Measure]) -> np.ndarray:
        """The sums by which designs exceed limits, each of them 0; 0 for one that keeps all."""
        total = np.zeros(len(points))
        for limit in limits:
            excess = self.measured(points, limit)
            total += np.where(excess > 0, excess, 0.0)
        return total

    def violation(self, point: Point, limits: Sequence[Measure]) -> float:
        """The same of one design."""
        return float(self.violations([point], limits)[0]) if limits else 0.0

    def _measure(self, points: Sequence[Point], measure: Measure) -> list[float]:
        if isinstance(measure, Batched):
            return measure.of([self.describe(point).design for point in points])
        return [self._measure_one(point, measure) for point in points]

    def _measure_one(self, point: Point, measure: Measure) -> float:
        found = self.describe(point)
        if isinstance(measure, ExactCost | Excess) and isinstance(found, DesignFacts):
            return measure.of_facts(found)
        return float(measure(found.design))

    def _describe(self, point: Point) -> DesignFacts | Description:
        if self._reader is not None:
            return self._reader.read(point)
        if self.tree is not None:
            there = expected(self.tree, point)
            point = tuple([i if has else ABSENT for i, has in zip(point, there, strict=True)])
        return Description(hash((point,)), point, self._numbers(point), self.params_of(point))

    @cached_property
    def _reader(self) -> FactReader | None:
        return FactReader(self.space) if self.space is not None else None

    def _numbers(self, point: Point) -> tuple[float, ...]:
        return tuple(
            [
                0.5 if i == ABSENT else a.place_of(i)
                for a, i in zip(self.axes, point, strict=True)
                if a.ordered
            ]
        )

    def numbers(self, points: Sequence[Point]) -> DesignNumbers:
        """Designs as a model sees them. Those that were asked about last are remembered: models of
        several objectives ask about the same."""
        asked = list(points)
        for known, numbers in self._last:
            if known == asked:
                return numbers
        found = [self.describe(point) for point in asked]
        numbers = DesignNumbers(
            self.codes_of(found),
            np.array([one.features for one in found]),
            np.array([one.identity for one in found]),
        )
        self._last[:] = [(asked, numbers)]
        return numbers

    def codes(self, points: Sequence[Point]) -> np.ndarray:
        """`codes_of` what the points stand for."""
        return self.codes_of([self.describe(point) for point in points])

    def codes_of(self, described: Sequence[DesignFacts | Description]) -> np.ndarray:
        """Shape (designs, columns), each number between 0 and 1; the product of two rows is the
        share of choices that agree. Points of one network have the same row where that is easily
        seen; see `DesignFacts.normal`."""
        count = len(described)
        normal = chain.from_iterable([one.normal for one in described])
        levels = np.fromiter(normal, int, count * len(self.axes)).reshape(count, len(self.axes))
        parts = [
            table.take(levels.take(axes, axis=1), axis=0).reshape(count, len(axes) * table.shape[1])
            for axes, table in self._code_tables
        ]
        return np.concatenate([np.zeros((count, 0)), *parts], axis=1)

    @cached_property
    def _code_tables(self) -> list[tuple[list[int], np.ndarray]]:
        """The code of each level, and the axes whose levels have these codes.

        Ordered levels are coded by the steps below them, each as long as it is, so that the product
        of two codes falls linearly with their distance; others by which of them it is. Where there
        are conditions, to be absent is one more level, unlike all others.
        """
        alike: dict[tuple[int, bool, tuple[float, ...] | None], list[int]] = {}
        for place, (axis, size) in enumerate(zip(self.axes, self.sizes, strict=True)):
            if size > 1:
                alike.setdefault((size, axis.ordered, axis.places), []).append(place)
        free = max(sum(map(len, alike.values())), 1)
        tables = []
        for (size, ordered, places), axes in alike.items():
            if ordered:
                below = np.tri(size, size - 1, -1)
                table = np.concatenate([below, 1 - below], axis=1)
                if places is None:
                    table /= np.sqrt(free * (size - 1))
                else:
                    table *= np.sqrt(np.tile(np.diff(places), 2) / free)
            else:
                table = np.eye(size) / np.sqrt(free)
            if self.tree is not None:
                table = np.pad(table, ((0, 1), (0, 1)))
                table[ABSENT, ABSENT] = 1 / np.sqrt(free)
            tables.append((axes, table))
        return tables


def _refined(axes: tuple[Axis, ...], best: Sequence[FrozenTrial]) -> tuple[Axis, ...]:
    """`axes` with more levels at and around the values of the `best` trials."""
    if not best:
        return axes
    refined = []
    for axis in axes:
        values = [trial.params[axis.name] for trial in best if axis.name in trial.params]
        if axis.thinned and values:
            axis = axis.refined(list(dict.fromkeys(values))[:_AROUND], values)
        refined.append(axis)
    return tuple(refined)


def neighbours(designs: Designs, point: Point) -> list[Point]:
    """Every point that is one changed choice away."""
    return [
        (*point[:place], level, *point[place + 1 :])
        for place, size in enumerate(designs.sizes)
        for level in range(size)
        if level != point[place]
    ]
