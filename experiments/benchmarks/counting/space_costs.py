"""The costs of points of one space, so quickly that a million take less than a second."""

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from autoscale.design.architecture import Head, Stem
from autoscale.design.blocks.layers import map_size, output_size
from autoscale.design.cost import Cost, row_of
from autoscale.design.costs import FIELDS
from autoscale.design.space import HeadChoices, SearchSpace, StageChoices, StemChoices
from autoscale.design.walk import place_of, stem_output_size
from autoscale.errors import InvalidSetting

_PEAK = FIELDS.index("peak")
_BATCH = 1 << 13  # designs whose rows of costs fit the processor's cache


class SpaceCosts:
    """Costs of any number of points of one space.

    A stage's cost depends on its own options, the width before it and the resolution, and on
    nothing else of the point. So every stage that can occur is costed once, when this is made; a
    point's cost is then one row from each table, and a million points take less than a second.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        one, *others = space.variants
        self._variants = [SpaceCosts(variant) for variant in space.variants] if others else []
        tables = list(_tables(one))
        # Few networks have all kinds of layers; sums of nothing would only cost time.
        self._used = [i for i in range(len(FIELDS)) if any(t.rows[:, i].any() for t in tables)]
        self._peak = self._used.index(_PEAK)
        self._tables = [(t.weights, np.ascontiguousarray(t.rows[:, self._used])) for t in tables]

    def __call__(self, points: np.ndarray) -> Cost:
        """The costs of `points`.

        Args:
            points: shape (designs, parameters of the space), the index of each chosen option.

        Raises:
            InvalidSetting: if the shape does not fit, or an index is out of range.
        """
        points = np.asarray(points)
        sizes = [len(parameter.options) for parameter in self.space.parameters]
        if points.ndim != 2 or points.shape[1] != len(sizes):
            raise InvalidSetting(
                f"points must have the shape (designs, {len(sizes)}), got {points.shape}"
            )
        if self._variants:
            return self._of_variants(points)
        columns = np.empty((len(self._used), len(points)), dtype=np.int64)
        for start in range(0, len(points), _BATCH):
            chosen = np.ascontiguousarray(points[start : start + _BATCH].T, dtype=np.int64)
            if (chosen.min(axis=1) < 0).any() or (chosen.max(axis=1) >= sizes).any():
                raise InvalidSetting(
                    f"points hold an index that is no option; the parameters have {sizes} options"
                )
            columns[:, start : start + _BATCH] = self._rows(chosen).T
        found = dict(zip(self._used, columns, strict=True))
        nothing = np.zeros(len(points), dtype=np.int64)
        return Cost(*[found.get(i, nothing) for i in range(len(FIELDS))])

    def _of_variants(self, points: np.ndarray) -> Cost:
        """The same where one parameter is chosen for all parts: a space for each of its options."""
        place = int(len(self.space.resolution) > 1)
        columns = np.zeros((len(FIELDS), len(points)), dtype=np.int64)
        for number, costs in enumerate(self._variants):
            own = points[:, place] == number
            if own.any():
                found = costs(np.delete(points[own], place, axis=1))
                columns[:, own] = [getattr(found, name) for name in FIELDS]
        return Cost(*columns)

    def _rows(self, chosen: np.ndarray) -> np.ndarray:
        """Costs, shape (designs, used fields), of indices of shape (parameters, designs)."""
        result = np.zeros((chosen.shape[1], len(self._used)), dtype=np.int64)
        for weights, table in self._tables:
            place = np.zeros(chosen.shape[1], dtype=np.int64)
            for parameter, weight in weights:
                place += chosen[parameter] * weight
            part = table[place]
            peak = np.maximum(result[:, self._peak], part[:, self._peak])
            result += part
            result[:, self._peak] = peak
        return result


class _Table(NamedTuple):
    """The costs of one part for all choices that matter to it."""

    weights: list[tuple[int, int]]  # parameter, and by how many rows its next option is further on
    rows: np.ndarray  # shape (choices, fields of Cost)


def _tables(space: SearchSpace) -> Iterator[_Table]:
    """One table for each part, in order."""
    several = len(space.resolution) > 1
    by_resolution = [(0, len(space.resolution))] if several else []
    stem = space.stem.at((0,) * len(space.stem.decisions()))  # its strides are no choices
    images = [map_size(resolution, space.aspect) for resolution in space.resolution]
    sizes = [stem_output_size(stem, image) for image in images]
    widths_in: tuple[int, ...] = (3,)
    by_width: list[tuple[int, int]] = []
    before = len(by_resolution)
    parts: list[StemChoices | StageChoices | HeadChoices] = [space.stem, *space.stages, space.head]
    for choices in parts:
        own = [(before + i, name, len(o)) for i, (name, o) in enumerate(choices.decisions())]
        axes = by_resolution + by_width + [(parameter, length) for parameter, _, length in own]
        ranges = [range(length) for _, length in axes]
        rows = []
        for indices in product(*ranges):
            index = indices[0] if by_resolution else 0
            width_in = widths_in[indices[len(by_resolution)] if by_width else 0]
            part = choices.at(indices[len(axes) - len(own) :])
            size = (images if isinstance(part, Stem) else sizes)[index]
            classes = space.num_classes if isinstance(part, Head) else 0
            rows.append(row_of(place_of(part, width_in, size, classes)))
        lengths = [length for _, length in axes]
        weights = [(axis[0], prod(lengths[i + 1 :])) for i, axis in enumerate(axes)]
        yield _Table(weights, np.array(rows, dtype=np.int64))
        before += len(own)
        by_width = [(parameter, length) for parameter, name, length in own if name == "width"]
        widths_in = choices.width
        if isinstance(choices, StageChoices):
            sizes = [output_size(size, choices.stride) for size in sizes]
