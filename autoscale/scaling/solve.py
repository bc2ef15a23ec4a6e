"""Move a dimension until a network costs what it may: the budget as an equation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from autoscale.design.numbers import Number
from autoscale.errors import InvalidSetting
from autoscale.scaling.budget import Budget
from autoscale.scaling.scalable import Scalable

Dimension = Literal["depth", "width", "resolution"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

#: Steps in which a multiplier of depth or width is moved.
FINE = 1e-3


class Solved(NamedTuple):
    """Points after moving, one value each."""

    depth: np.ndarray
    width: np.ndarray
    resolution: np.ndarray  # whole pixels
    growths: np.ndarray  # in the budget's measure, of the base's
    moved: np.ndarray  # names of the dimensions that were moved, joined by "+"


@dataclass(frozen=True, slots=True)
class Solver:
    """Costs of one base's relatives in the measure of one budget."""

    base: Scalable
    budget: Budget

    def growths(self, depth: Number, width: Number, resolution: Number) -> np.ndarray:
        """Growth of the base's cost at these multipliers and whole resolutions."""
        costs = self.base.costs(np.asarray(depth), np.asarray(width), np.asarray(resolution))
        return np.asarray(self.budget.measure.count(costs) / self.budget.base)

    def solve(
        self,
        depth: np.ndarray,
        width: np.ndarray,
        resolution: np.ndarray,
        *,
        order: Sequence[Dimension],
        ends: Mapping[Dimension, tuple[float, float]],
        tolerance: float,
    ) -> Solved:
        """Move one dimension of each point to come as near to the budget as it allows.

        Where that is not within `tolerance`, the next dimension of `order` is moved too, and so on.

        Args:
            depth, width, resolution: one value a point.
            ends: least and most value of each dimension, pixels for the resolution.

        Raises:
            InvalidSetting: for an unknown dimension.
        """
        for name in order:
            if name not in DIMENSIONS:
                raise InvalidSetting(
                    f"no dimension {name!r} to move; choose from {', '.join(DIMENSIONS)}"
                )
        point = {
            "depth": depth.astype(float),
            "width": width.astype(float),
            "resolution": resolution.astype(np.int64),
        }
        moved = np.full(depth.size, "", dtype=object)
        growths = np.full(depth.size, np.inf)
        for name in order:
            off = np.flatnonzero(np.abs(growths / self.budget.ratio - 1) > tolerance)
            if not off.size:
                break
            values = self._values(name, *ends[name])
            if not values.size:  # no step of the dimension lies between its ends
                continue
            rest = {other: at[off] for other, at in point.items()}

            def at(places: np.ndarray) -> np.ndarray:
                return self.growths(**(rest | {name: values[places]}))  # noqa: B023

            places = nearest_place(at, values.size, off.size, self.budget.ratio)
            found = at(places)
            better = np.abs(np.log(found / self.budget.ratio)) < np.abs(
                np.log(growths[off] / self.budget.ratio)
            )
            changed = off[better]
            point[name][changed] = values[places[better]]
            growths[changed] = found[better]
            moved[changed] = [f"{before}+{name}".strip("+") for before in moved[changed]]
        return Solved(point["depth"], point["width"], point["resolution"], growths, moved)

    def _values(self, name: Dimension, least: float, most: float) -> np.ndarray:
        """Every value that a dimension can take between two ends, in order."""
        if name == "resolution":
            pixels = np.arange(int(least), int(most) + 1)
            found = np.unique(self.base.pixels(pixels / self.base.resolution))
            return found[(found >= least) & (found <= most)]
        steps = np.arange(np.ceil(least / FINE - 1e-9), np.floor(most / FINE + 1e-9) + 1)
        return np.round(steps * FINE, 10)


def nearest_place(
    at: Callable[[np.ndarray], np.ndarray], size: int, points: int, wanted: float
) -> np.ndarray:
    """For each point the place, of `size`, whose value is nearest to `wanted`, by ratio.

    Args:
        at: values at one place a point; not falling from place to place.
    """
    low, high = np.zeros(points, dtype=np.int64), np.full(points, size - 1, dtype=np.int64)
    while (low < high).any():
        middle = (low + high + 1) // 2
        fits = at(middle) <= wanted
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    above = np.minimum(low + 1, size - 1)
    nearer = np.abs(np.log(at(above) / wanted)) < np.abs(np.log(at(low) / wanted))
    return np.where(nearer, above, low)
