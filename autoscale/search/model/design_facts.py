"""Points of a search space read quickly: hundreds of candidates are looked at for each trial.

A space repeats its parts. So the ways into the stages, the stages where they stand, and the ways
out are read once each, and most points are then put together from what is remembered.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from math import log
from typing import Any, NamedTuple

import numpy as np

from autoscale.design.architecture import Architecture, Stage
from autoscale.design.blocks.layers import MapSize, map_size, output_size
from autoscale.design.choices import StageChoices
from autoscale.design.cost import Cost, head_cost, stage_cost, stem_cost
from autoscale.design.measures.limits import Limit
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.space import SearchSpace
from autoscale.design.walk import stem_output_size
from autoscale.search.batched import Design
from autoscale.search.identity import network_of, returns_input, stage_marks

Point = tuple[int, ...]
Costs = tuple[int, int, int]  # multiply-adds, parameters, activations
#: The fields of `Cost` that are read off a point without making its architecture.
READ_OFF = frozenset({"macs", "params", "activations"})


class DesignFacts(NamedTuple):
    """One point of a space. A tuple, since many are made and that is quick.

    Attributes:
        identity: a number of 64 bits that follows from `network`, quicker to compare and as good;
            another one in each process.
        normal: one point for all that are the same network, as far as that is simple: stages that
            change nothing stand behind their neighbours with the same choices, choices without
            effect are the first ones, a skip that fits nowhere is "none".
        features: logarithms of multiply-adds, parameters and activations; number of blocks.
        macs, params, activations: counted exactly.
        space, point: what it was read from.
    """

    identity: int
    normal: Point
    features: tuple[float, ...]
    macs: int
    params: int
    activations: int
    space: SearchSpace
    point: Point

    # Made when they are asked for: most candidates are never looked at.

    @property
    def network(self) -> Hashable:
        """`identity.network_of` what it stands for."""
        return network_of(self.design)

    @property
    def design(self) -> Architecture:
        return self.space.architecture_at(self.point)


class Description(NamedTuple):
    """What is known of a design of any study without training it: `DesignFacts` as far as there are
    some without a search space."""

    identity: int
    normal: Point
    features: tuple[float, ...]
    design: Design  # its parameters


class DesignNumbers(NamedTuple):
    """Some designs as a model sees them: `Designs.codes_of`, features and identities."""

    codes: np.ndarray
    features: np.ndarray
    identities: np.ndarray


@dataclass(frozen=True, slots=True)
class ExactCost:
    """The cost of an architecture in one measure, known without training.

    Any other function of an architecture would do for a sampler; this one is read off a point's
    facts where they tell it, without making the architecture.
    """

    measure: CostMeasure

    def __call__(self, architecture: Architecture) -> float:
        return float(self.measure.of(architecture))

    def of_facts(self, facts: DesignFacts) -> float:
        """The cost of the architecture that the facts are of."""
        if self.measure.reads and self.measure.reads <= READ_OFF:
            counts = Cost(macs=facts.macs, params=facts.params, activations=facts.activations)
            return float(self.measure.count(counts))
        return self(facts.design)


@dataclass(frozen=True, slots=True)
class Excess:
    """By what share of a limit an architecture exceeds it; at most 0 if it keeps it.

    Shares of several limits can be added up, whatever their units.
    """

    limit: Limit

    def __call__(self, architecture: Architecture) -> float:
        return self.limit.excess(self.limit.measure.of(architecture))

    def of_facts(self, facts: DesignFacts) -> float:
        """The excess of the architecture that the facts are of."""
        return self.limit.excess(ExactCost(self.limit.measure).of_facts(facts))


@dataclass(frozen=True, slots=True)
class _StageReading:
    normal: Point
    marks: tuple[int, ...]  # hashes of the blocks that do something
    cost: Costs


@dataclass(frozen=True, slots=True)
class _Choice:
    """What one set of choices of a stage stands for, whatever its depth: its first block, and each
    further one."""

    normal: Point
    first: Stage
    other: Stage


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stage stands: its number and its input, and what was read there before."""

    number: int
    width: int
    size: MapSize
    known: dict[Point, "tuple[_StageReading, _Place]"] = field(default_factory=dict)


class _Entry(NamedTuple):
    """The image and the stem: what they cost, and the place behind them."""

    mark: int
    cost: Costs
    place: _Place


class _Exit(NamedTuple):
    """A head behind the last stage, and the classes."""

    mark: int
    cost: Costs


class FactReader:
    """Reads points of `space`; what it has worked out it remembers."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._variants = [_VariantReader(variant) for variant in space.variants]

    def read(self, point: Point) -> DesignFacts:
        if len(self._variants) == 1:
            return self._variants[0].read(point)
        number, rest = self._space.variant_of(point)
        facts = self._variants[number].read(rest)
        return facts._replace(normal=self._space.with_variant(facts.normal, number))


class _VariantReader:
    """Reads points of a space in which each part has choices of its own."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        groups: list[Any] = [space.stem, *space.stages, space.head]
        lengths = [int(len(space.resolution) > 1), *(len(group.decisions()) for group in groups)]
        ends = list(accumulate(lengths))
        parts = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        self._way_in, self._rows, self._way_out = slice(ends[1]), parts[2:-1], parts[-1]
        self._entries: dict[Point, _Entry] = {}
        self._places: dict[tuple[int, int, MapSize], _Place] = {}
        self._choices: dict[tuple[int, Point], _Choice] = {}
        self._exits: dict[tuple[Point, int, MapSize], _Exit] = {}
        self._depths = [_place_of(choices, "depth") for choices in space.stages]
        self._skips = [
            _place_of(choices, "skip") if "none" in choices.skip else None
            for choices in space.stages
        ]
        self._exchangeable = _exchangeable(space)

    def read(self, point: Point) -> DesignFacts:
        first, last = point[self._way_in], point[self._way_out]
        entry = self._entries.get(first) or self._enter(first)
        macs, params, activations = entry.cost
        marks, place = [entry.mark], entry.place
        stages: list[_StageReading] = []
        for row in self._rows:
            indices = point[row]
            reading, place = place.known.get(indices) or self._step(place, indices)
            stages.append(reading)
            marks += reading.marks
            more, more_params, more_activations = reading.cost
            macs += more
            params += more_params
            activations += more_activations
        blocks = len(marks) - 1
        key = (last, place.width, place.size)
        way_out = self._exits.get(key) or self._leave(*key)
        marks.append(way_out.mark)
        more, more_params, more_activations = way_out.cost
        macs += more
        params += more_params
        activations += more_activations
        return DesignFacts(
            hash(tuple(marks)),
            self._normal(first, stages, last),
            (log(macs + 1), log(params + 1), log(activations + 1), float(blocks)),
            macs,
            params,
            activations,
            self._space,
            point,
        )

    def _normal(self, first: Point, stages: list[_StageReading], last: Point) -> Point:
        rows = [stage.normal for stage in stages]
        for start, stop in self._exchangeable:
            idle = [not stage.marks for stage in stages]
            if any(idle[start:stop]):
                order = sorted(range(start, stop), key=idle.__getitem__)
                rows[start:stop] = [rows[i] for i in order]
        return tuple(chain(first, *rows, last))

    def _enter(self, indices: Point) -> _Entry:
        """The way in that `indices` choose."""
        space = self._space
        several = len(space.resolution) > 1
        resolution = space.resolution[indices[0] if several else 0]
        size = map_size(resolution, space.aspect)
        stem = space.stem.at(indices[several:])
        found = self._entries[indices] = _Entry(
            hash((resolution, stem)),
            _triple(stem_cost(stem, size, space.channels)),
            self._place(0, stem.width, stem_output_size(stem, size)),
        )
        return found

    def _leave(self, indices: Point, width: int, size: MapSize) -> _Exit:
        """The way out that `indices` choose behind a map of `width` and `size`."""
        head, classes = self._space.head.at(indices), self._space.num_classes
        costs = _triple(head_cost(head, width, size, classes))
        found = self._exits[indices, width, size] = _Exit(hash((head, classes)), costs)
        return found

    def _place(self, number: int, width: int, size: MapSize) -> _Place:
        key = (number, width, size)
        return self._places.get(key) or self._places.setdefault(key, _Place(*key))

    def _step(self, place: _Place, indices: Point) -> tuple[_StageReading, _Place]:
        """The stage at `place`, and where the next one stands."""
        number, size = place.number, place.size
        choices, at_depth = self._space.stages[number], self._depths[number]
        level = indices[at_depth] if at_depth is not None else 0
        depth = choices.depth[level]
        key = number, _with(indices, at_depth, 0)
        found = self._choices.get(key) or self._choose(*key)
        first, other, stride = found.first, found.other, found.first.stride
        normal = _with(found.normal, at_depth, level)
        small = output_size(size, stride)
        at_skip = self._skips[number]
        if (
            at_skip is not None
            and not returns_input(first, place.width, stride)
            and (depth == 1 or not returns_input(other, first.width, 1))
        ):
            normal = _with(normal, at_skip, choices.skip.index("none"))
        marks = stage_marks(first, place.width)
        macs, params, activations = _triple(stage_cost(first, place.width, size))
        if depth > 1:
            more = depth - 1
            marks += stage_marks(other, first.width) * more
            each = _triple(stage_cost(other, first.width, small))
            macs += each[0] * more
            params += each[1] * more
            activations += each[2] * more
        reading = _StageReading(normal, marks, (macs, params, activations))
        step = place.known[indices] = reading, self._place(number + 1, first.width, small)
        return step

    def _choose(self, number: int, indices: Point) -> _Choice:
        """What `indices` choose for a stage, but for its depth."""
        choices = self._space.stages[number]
        stage = choices.at(indices)
        first = replace(stage, depth=1) if stage.depth > 1 else stage
        other = replace(first, stride=1) if stage.stride > 1 else first
        found = self._choices[number, indices] = _Choice(
            choices.indices_of(stage) or indices, first, other
        )
        return found


def _with(point: Point, place: int | None, level: int) -> Point:
    """`point` with `level` at `place`; as it is where there is no such place."""
    return point if place is None else (*point[:place], level, *point[place + 1 :])


def _place_of(choices: StageChoices, name: str) -> int | None:
    """Which decision of a stage is `name`; None if it is none."""
    names = [decision for decision, _ in choices.decisions()]
    return names.index(name) if name in names else None


def _triple(cost: Cost) -> Costs:
    return (cost.macs, cost.params, cost.activations)


def _exchangeable(space: SearchSpace) -> list[tuple[int, int]]:
    """Runs of stages with the same choices, one width and no stride, behind one of that width."""
    runs, start = [], 0
    choices = space.stages
    for stop in range(1, len(choices) + 1):
        if stop < len(choices) and choices[stop] == choices[start]:
            continue
        if stop - start > 1 and choices[start].stride == 1 and len(choices[start].width) == 1:
            runs.append((start, stop))
        start = stop
    return runs
