"""Points of a search space read quickly: thousands of candidates are looked at for each trial."""

from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from math import log
from typing import Any

import numpy as np

from autoscale.design.architecture import Architecture, Stage, Stem
from autoscale.design.cost import Cost, conv_cost, cost, head_cost, output_size, stage_cost
from autoscale.design.space import SearchSpace, StageChoices
from autoscale.search.identity import Block, effective_skip, stage_blocks

Point = tuple[int, ...]
Costs = tuple[int, int, int]  # multiply-adds, parameters, activations


@dataclass(frozen=True, slots=True)
class Reading:
    """One point of a space.

    Attributes:
        network: `identity.network_of` what it stands for.
        normal: one point for all that are the same network, as far as that is simple: stages that
            change nothing stand behind their neighbours with the same choices, choices without
            effect are the first ones, a skip that fits nowhere is "none".
        features: logarithms of multiply-adds, parameters and activations; number of blocks.
        macs: multiply-adds, exactly.
    """

    network: tuple[Any, ...]
    normal: Point
    features: np.ndarray
    macs: int
    stages: tuple[Stage, ...]

    @property
    def architecture(self) -> Architecture:
        """What it stands for, made when it is asked for: most candidates are never looked at."""
        resolution, stem, _, head, num_classes = self.network
        return Architecture(
            resolution=resolution,
            stem=stem,
            stages=self.stages,
            head=head,
            num_classes=num_classes,
        )


@dataclass(frozen=True, slots=True)
class Macs:
    """Measures an architecture: its multiply-adds, less `limit`.

    Any other function of an architecture would do; this one is read off without making it.
    """

    limit: int = 0

    def __call__(self, architecture: Architecture) -> float:
        return float(cost(architecture).macs - self.limit)

    def of_reading(self, reading: Reading) -> float:
        return float(reading.macs - self.limit)


@dataclass(frozen=True, slots=True)
class _StageReading:
    stage: Stage
    normal: Point
    blocks: tuple[Block, ...]
    cost: Costs


@dataclass(frozen=True, slots=True)
class _Choice:
    """What one set of choices of a stage stands for; its first block, and each further one."""

    stage: Stage
    normal: Point
    first: Stage
    other: Stage


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stage stands: its number and its input, and what was read there before."""

    number: int
    width: int
    size: int
    known: dict[Point, "tuple[_StageReading, _Place]"] = field(default_factory=dict)


class Reader:
    """Reads points of `space`; what it has worked out for a stage it remembers."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        groups: list[Any] = [space.stem, *space.stages, space.head]
        lengths = [int(len(space.resolution) > 1), *(len(group.decisions()) for group in groups)]
        ends = list(accumulate(lengths))
        self._parts = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        self._ends: dict[tuple[int, Point], Any] = {}
        self._places: dict[tuple[int, int, int], _Place] = {}
        self._choices: dict[tuple[int, Point], _Choice] = {}
        self._skips = [_place_of_skip(choices) for choices in space.stages]
        self._stem_costs: dict[tuple[int, int, int], Costs] = {}
        self._head_costs: dict[tuple[int, int, int], Costs] = {}
        self._exchangeable = _exchangeable(space)

    def read(self, point: Point) -> Reading:
        space = self._space
        first, second, *others, last = [point[part] for part in self._parts]
        resolution = space.resolution[first[0] if first else 0]
        stem = self._end(0, second)
        size = output_size(resolution, stem.stride)
        macs, params, activations = self._stem_cost(stem, size)
        place = self._place(0, stem.width, output_size(size, 2) if stem.pool else size)
        stages: list[_StageReading] = []
        for indices in others:
            reading, place = place.known.get(indices) or self._step(place, indices)
            stages.append(reading)
            more = reading.cost
            macs, params, activations = macs + more[0], params + more[1], activations + more[2]
        head = self._end(-1, last)
        more = self._head_cost(place.width, head.width, place.size)
        macs, params, activations = macs + more[0], params + more[1], activations + more[2]
        blocks = tuple([block for s in stages for block in s.blocks])
        normal = self._settle([s.normal for s in stages], [not s.blocks for s in stages])
        return Reading(
            (resolution, stem, blocks, head, space.num_classes),
            tuple(chain(first, second, *normal, last)),
            np.array([log(macs + 1), log(params + 1), log(activations + 1), len(blocks)]),
            macs,
            tuple([s.stage for s in stages]),
        )

    def _place(self, number: int, width: int, size: int) -> _Place:
        key = (number, width, size)
        return self._places.get(key) or self._places.setdefault(key, _Place(*key))

    def _step(self, place: _Place, indices: Point) -> tuple[_StageReading, _Place]:
        """The stage at `place`, and where the next one stands."""
        reading = self._read_stage(place.number, indices, place.width, place.size)
        stage = reading.stage
        size = output_size(place.size, stage.stride)
        found = reading, self._place(place.number + 1, stage.width, size)
        place.known[indices] = found
        return found

    def _stem_cost(self, stem: Stem, size: int) -> Costs:
        key = (stem.width, stem.kernel, size)
        if key not in self._stem_costs:
            self._stem_costs[key] = _triple(conv_cost(3, *key))
        return self._stem_costs[key]

    def _head_cost(self, width_in: int, width: int, size: int) -> Costs:
        key = (width_in, width, size)
        if key not in self._head_costs:
            self._head_costs[key] = _triple(head_cost(*key, self._space.num_classes))
        return self._head_costs[key]

    def _end(self, which: int, indices: Point) -> Any:
        found = self._ends.get((which, indices))
        if found is None:
            choices = self._space.stem if which == 0 else self._space.head
            found = self._ends[which, indices] = choices.at(indices)
        return found

    def _read_stage(self, number: int, indices: Point, width_in: int, size: int) -> _StageReading:
        choices = self._space.stages[number]
        found = self._choices.get((number, indices))
        if found is None:
            stage = choices.at(indices)
            first = replace(stage, depth=1) if stage.depth > 1 else stage
            other = replace(first, stride=1) if stage.stride > 1 else first
            found = self._choices[number, indices] = _Choice(
                stage, choices.indices_of(stage) or indices, first, other
            )
        stage, normal, first, other = found.stage, found.normal, found.first, found.other
        more = stage.depth - 1
        place = self._skips[number]
        if (
            place is not None
            and effective_skip(first, width_in, stage.stride) == "none"
            and (not more or effective_skip(other, stage.width, 1) == "none")
        ):
            none = choices.skip.index("none")
            normal = (*normal[:place], none, *normal[place + 1 :])
        blocks = stage_blocks(first, width_in)
        costs = _triple(stage_cost(first, width_in, size))
        if more:
            blocks += stage_blocks(other, stage.width) * more
            each = _triple(stage_cost(other, stage.width, output_size(size, stage.stride)))
            costs = (
                costs[0] + each[0] * more,
                costs[1] + each[1] * more,
                costs[2] + each[2] * more,
            )
        return _StageReading(stage, normal, blocks, costs)

    def _settle(self, normal: list[Point], idle: list[bool]) -> list[Point]:
        for start, stop in self._exchangeable:
            if any(idle[start:stop]):
                order = sorted(range(start, stop), key=idle.__getitem__)
                normal[start:stop] = [normal[i] for i in order]
        return normal


def _place_of_skip(choices: StageChoices) -> int | None:
    """Which decision of a stage is its skip, where that may be none."""
    names = [name for name, _ in choices.decisions()]
    return names.index("skip") if "skip" in names and "none" in choices.skip else None


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
