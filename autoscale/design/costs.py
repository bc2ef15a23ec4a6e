"""The costs of many designs at once, with the numbers of `cost`: of scaled ones, and of spaces.

Of scaled designs each function gives one `Cost` whose fields are int64 arrays. A field that does
not depend on a dimension has length 1 along it, so that a grid of parameters and resolutions stays
small.

The multiply-adds of a space are tables. What a part costs depends on the choices before it only
through the width and the size of its map. So a design is a sum of entries, one for each part: by
its own options, by the width before it and by the resolution. Entries are Python's integers, exact
at any size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import reduce
from itertools import product
from operator import add
from typing import Any, NamedTuple

import numpy as np

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import MapSize, output_size
from autoscale.design.choices import Choices
from autoscale.design.cost import Cost, block_macs, cost, head_cost, part_costs, stem_cost
from autoscale.design.numbers import Number
from autoscale.design.rounding import ROUNDINGS, Rounding
from autoscale.design.walk import stem_output_size
from autoscale.errors import InvalidSetting

FIELDS = tuple(field.name for field in fields(Cost))


def scaled_costs(
    base: Architecture,
    *,
    depth: Number = 1.0,
    width: Number = 1.0,
    resolution: Number | None = None,
    rounding: Rounding = ROUNDINGS["tf"],
) -> Cost:
    """What `scale` gives for each combination of multipliers, costed.

    Args:
        depth, width: multipliers, numbers or arrays that broadcast with `resolution`.
        resolution: whole pixels of height; the base's own if not given.
            `rounding.resolution(base.resolution, gamma)` makes it of multipliers.

    Raises:
        InvalidSetting: if a multiplier is not above 0 or a resolution not at least 1.
    """
    parts = scaled_part_costs(base, depth, width, resolution, rounding)
    return reduce(add, [part for _, part in parts])


def scaled_part_costs(
    base: Architecture,
    depth: Number = 1.0,
    width: Number = 1.0,
    resolution: Number | None = None,
    rounding: Rounding = ROUNDINGS["tf"],
) -> list[tuple[str, Cost]]:
    """The same part by part, as `part_costs` of each scaled design.

    Raises:
        InvalidSetting: if a multiplier is not above 0 or a resolution not at least 1.
    """
    pixels = base.resolution if resolution is None else resolution
    for name, values, limit in (
        ("depth multipliers", depth, "above 0"),
        ("width multipliers", width, "above 0"),
        ("resolutions", pixels, "at least 1"),
    ):
        if not np.all(np.asarray(values) > 0):
            raise InvalidSetting(f"{name} must be {limit}, got {np.min(values)}")
    sizes = rounding.sizes(
        base, depth=_array(depth), width=_array(width), resolution=_array(pixels)
    )
    return part_costs(base, sizes)


def costs_of(architectures: Iterable[Architecture]) -> Cost:
    """The costs of single designs, in their order."""
    rows = [[getattr(found, name) for name in FIELDS] for found in map(cost, architectures)]
    return Cost(*np.array(rows, dtype=np.int64).reshape(-1, len(FIELDS)).T)


def _array(values: Number) -> np.ndarray:
    return np.atleast_1d(np.asarray(values))


# Spaces

Part = Stem | Stage | Head


class PartMacs(NamedTuple):
    """What a part costs by the options chosen for it: its points, in order."""

    options: tuple[int, ...]  # how many each of its decisions has
    macs: np.ndarray  # (points, widths before it, resolutions)
    width: np.ndarray  # (points,): which of the widths before the next part it makes


def macs_tables(
    parts: Sequence[Choices[Any]], *, channels: int, sizes: Sequence[MapSize], num_classes: int
) -> list[PartMacs]:
    """The tables of a stem, of stages and of a head.

    Args:
        channels: of the images.
        sizes: of the images, one for each resolution.
    """
    tables = []
    before, sizes = [channels], list(sizes)
    for choices in parts:
        counts = tuple(len(options) for _, options in choices.decisions())
        names = [name for name, _ in choices.decisions()]
        # Blocks behind the first are all alike, so depth multiplies and is not gone through.
        shallow = [1 if name == "depth" else n for name, n in zip(names, counts, strict=True)]
        found = [choices.at(point) for point in product(*map(range, shallow))]
        costs = {part: _macs(part, before, sizes, num_classes) for part in dict.fromkeys(found)}
        first, other = np.moveaxis(np.array([costs[part] for part in found], dtype=object), -1, 0)
        shape = (*shallow, len(before), len(sizes))
        macs = first.reshape(shape) + other.reshape(shape) * _further(choices, names)
        widths = list(dict.fromkeys(part.width for part in found))
        places = np.array([widths.index(part.width) for part in found]).reshape(shallow)
        tables.append(
            PartMacs(
                options=counts,
                macs=macs.reshape(-1, len(before), len(sizes)),
                width=np.broadcast_to(places, counts).ravel(),
            )
        )
        before, sizes = widths, [_size_behind(found[0], size) for size in sizes]
    return tables


def _macs(part: Part, widths: Sequence[int], sizes: Sequence[MapSize], num_classes: int) -> Any:
    """Of the first block, and of each further one, by width and size before a part.

    A stem and a head count as one block.
    """
    if isinstance(part, Stem):
        return [[(stem_cost(part, size, width).macs, 0) for size in sizes] for width in widths]
    if isinstance(part, Head):
        return [
            [(head_cost(part, width, size, num_classes).macs, 0) for size in sizes]
            for width in widths
        ]
    small = [_size_behind(part, size) for size in sizes]
    further = [block_macs(part, part.width, size, stride=1) for size in small]
    return [
        [
            (block_macs(part, width, size, stride=part.stride), other)
            for size, other in zip(sizes, further, strict=True)
        ]
        for width in widths
    ]


def _further(choices: Choices[Any], names: Sequence[str]) -> np.ndarray | int:
    """How many blocks follow the first, along the decision on depth if it is one."""
    depths = np.array(getattr(choices, "depth", (1,)), dtype=object) - 1
    axis = names.index("depth") if "depth" in names else 0
    return depths.reshape([-1 if place == axis else 1 for place in range(len(names) + 2)])


def _size_behind(part: Part, size: MapSize) -> MapSize:
    """The size of the map that a part makes: no choice changes a stride."""
    if isinstance(part, Stem):
        return stem_output_size(part, size)
    return output_size(size, part.stride) if isinstance(part, Stage) else 1


def extremes(tables: Sequence[PartMacs]) -> tuple[int, int]:
    """Least and most multiply-adds of any design of all tables together."""
    low = high = np.zeros((1, tables[0].macs.shape[-1]), dtype=object)  # (widths, resolutions)
    for table in tables:
        least, most = (table.macs + low).min(axis=1), (table.macs + high).max(axis=1)
        ways = [table.width == width for width in range(table.width.max() + 1)]
        low = np.array([least[way].min(axis=0) for way in ways])
        high = np.array([most[way].max(axis=0) for way in ways])
    return low.min(), high.max()


def macs_at(tables: Sequence[PartMacs], points: np.ndarray, resolutions: np.ndarray) -> list[int]:
    """Multiply-adds of designs.

    Args:
        points: shape (designs, decisions of all parts): the index of each chosen option.
        resolutions: shape (designs,): which resolution each has.
    """
    total: Any = 0
    width, start = np.zeros(len(points), dtype=np.intp), 0
    for table in tables:
        end = start + len(table.options)
        place = _place(points[:, start:end], table.options)
        total = total + table.macs[place, width, resolutions]
        width, start = table.width[place], end
    return list(total)


def _place(points: np.ndarray, options: tuple[int, ...]) -> np.ndarray:
    """Which point of a part each row of indices is."""
    if not options:
        return np.zeros(len(points), dtype=np.intp)
    return np.ravel_multi_index(tuple(points.T), options)
