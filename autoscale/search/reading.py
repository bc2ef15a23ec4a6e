"""Points of a search space read quickly: hundreds of candidates are looked at for each trial.

A space repeats its parts. So the ways into the stages, the stages where they stand, and the ways
out are read once each, and most points are then put together from what is remembered.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from math import log

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.cost import Cost, conv_cost, cost, head_cost, output_size, stage_cost
from autoscale.design.space import SearchSpace, StageChoices
from autoscale.search.identity import Block, effective_skip, stage_blocks

Point = tuple[int, ...]
Costs = tuple[int, int, int]  # multiply-adds, parameters, activations


@dataclass(frozen=True, slots=True)
class Reading:
    """One point of a space.

    Attributes:
        identity: a number of 64 bits that follows from `network`, quicker to compare and as good;
            another one in each process.
        normal: one point for all that are the same network, as far as that is simple: stages that
            change nothing stand behind their neighbours with the same choices, choices without
            effect are the first ones, a skip that fits nowhere is "none".
        features: logarithms of multiply-adds, parameters and activations; number of blocks.
        macs: multiply-adds, exactly.
    """

    identity: int
    normal: Point
    features: tuple[float, ...]
    macs: int
    _entry: "_Entry"
    _stages: "list[_StageReading]"
    _exit: "_Exit"

    # Made when they are asked for: most candidates are never looked at.

    @property
    def network(self) -> Hashable:
        """`identity.network_of` what it stands for."""
        blocks = tuple([block for stage in self._stages for block in stage.blocks])
        entry, way_out = self._entry, self._exit
        return (entry.resolution, entry.stem, blocks, way_out.head, way_out.num_classes)

    @property
    def architecture(self) -> Architecture:
        return Architecture(
            resolution=self._entry.resolution,
            stem=self._entry.stem,
            stages=tuple([stage.stage for stage in self._stages]),
            head=self._exit.head,
            num_classes=self._exit.num_classes,
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
    marks: tuple[int, ...]  # hashes of the blocks
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


@dataclass(frozen=True, slots=True)
class _Entry:
    """Resolution and stem, and the place behind them."""

    resolution: int
    stem: Stem
    mark: int
    cost: Costs
    place: _Place


@dataclass(frozen=True, slots=True)
class _Exit:
    """A head behind the last stage, and the classes."""

    head: Head
    num_classes: int
    mark: int
    cost: Costs


class Reader:
    """Reads points of `space`; what it has worked out it remembers."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        groups = [space.stem, *space.stages, space.head]
        lengths = [int(len(space.resolution) > 1), *(len(group.decisions()) for group in groups)]
        ends = list(accumulate(lengths))
        parts = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
        self._way_in, self._rows, self._way_out = slice(ends[1]), parts[2:-1], parts[-1]
        self._entries: dict[Point, _Entry] = {}
        self._places: dict[tuple[int, int, int], _Place] = {}
        self._choices: dict[tuple[int, Point], _Choice] = {}
        self._exits: dict[tuple[Point, int, int], _Exit] = {}
        self._skips = [_place_of_skip(choices) for choices in space.stages]
        self._exchangeable = _exchangeable(space)

    def read(self, point: Point) -> Reading:
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
        return Reading(
            hash(tuple(marks)),
            self._normal(first, stages, last),
            (
                log(macs + 1),
                log(params + more_params + 1),
                log(activations + more_activations + 1),
                float(blocks),
            ),
            macs,
            entry,
            stages,
            way_out,
        )

    def _normal(self, first: Point, stages: list[_StageReading], last: Point) -> Point:
        rows = [stage.normal for stage in stages]
        for start, stop in self._exchangeable:
            idle = [not stage.blocks for stage in stages]
            if any(idle[start:stop]):
                order = sorted(range(start, stop), key=idle.__getitem__)
                rows[start:stop] = [rows[i] for i in order]
        return tuple(chain(first, *rows, last))

    def _enter(self, indices: Point) -> _Entry:
        """The way in that `indices` choose."""
        space = self._space
        several = len(space.resolution) > 1
        resolution = space.resolution[indices[0] if several else 0]
        stem = space.stem.at(indices[several:])
        size = output_size(resolution, stem.stride)
        found = self._entries[indices] = _Entry(
            resolution,
            stem,
            hash((resolution, stem)),
            _triple(conv_cost(3, stem.width, stem.kernel, size)),
            self._place(0, stem.width, output_size(size, 2) if stem.pool else size),
        )
        return found

    def _leave(self, indices: Point, width: int, size: int) -> _Exit:
        """The way out that `indices` choose behind a map of `width` and `size`."""
        head, classes = self._space.head.at(indices), self._space.num_classes
        costs = _triple(head_cost(width, head.width, size, classes))
        found = self._exits[indices, width, size] = _Exit(
            head, classes, hash((head, classes)), costs
        )
        return found

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
        return _StageReading(stage, normal, blocks, tuple(map(hash, blocks)), costs)


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
