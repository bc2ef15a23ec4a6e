"""The costs of many designs at once: the formulas of `cost` on arrays, with the same numbers.

Each function gives one `Cost` whose fields are int64 arrays. A field that does not depend on a
dimension has length 1 along it, so that a grid of parameters and resolutions stays small.
"""

from collections.abc import Iterable
from dataclasses import fields
from functools import reduce
from operator import add

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost, cost, part_costs
from autoscale.design.numbers import Number
from autoscale.design.rounding import ROUNDINGS, Rounding
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
        resolution: whole pixels per side; the base's own if not given.
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
