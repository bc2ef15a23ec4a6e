"""Fronts: the points of which no other is better everywhere, and the room they take.

A point dominates another if it is at least as good in every objective and better in one. Equal
points do not dominate each other, so all of them belong to the front, and the answer does not
depend on the order in which points come.
"""

from collections.abc import Iterator, Sequence
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from autoscale.errors import InvalidSetting

Direction = Literal["minimize", "maximize"]
Item = TypeVar("Item")

_SIGNS = {"minimize": 1.0, "maximize": -1.0}
_BLOCK = 64  # points compared with the front at once


def front(points: ArrayLike, directions: Sequence[Direction]) -> np.ndarray:
    """Indices of the points that no other dominates, ascending.

    Args:
        points: shape (points, objectives); finite or infinite, not NaN.
        directions: for each objective, "minimize" or "maximize".

    Raises:
        InvalidSetting: for a wrong shape, an unknown direction or NaN.
    """
    losses = as_losses(points, directions)
    # Whatever dominates a point stands before it in this order.
    order = np.lexsort(losses.T[::-1])
    ordered = losses[order]
    if losses.shape[1] == 1:
        kept = ordered[:, 0] == ordered[:1, 0]
    elif losses.shape[1] == 2:
        kept = _kept_of_two(ordered)
    else:
        kept = _kept_of_many(ordered)
    return np.sort(order[kept])


def _kept_of_two(ordered: np.ndarray) -> np.ndarray:
    second = ordered[:, 1]
    kept = np.ones(len(ordered), dtype=bool)
    kept[1:] = second[1:] < np.minimum.accumulate(second)[:-1]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    # Equal points share the fate of the first of them.
    return kept[np.flatnonzero(new)[np.cumsum(new) - 1]]


def _kept_of_many(ordered: np.ndarray) -> np.ndarray:
    kept = np.zeros(len(ordered), dtype=bool)
    members = ordered[:0]
    for start in range(0, len(ordered), _BLOCK):
        block = ordered[start : start + _BLOCK]
        rivals = np.concatenate([members, block])
        alive = ~_dominated(block, rivals)
        kept[start : start + _BLOCK] = alive
        members = np.concatenate([members, block[alive]])
    return kept


def _dominated(losses: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    at_least = np.all(rivals[None] <= losses[:, None], axis=2)
    better = np.any(rivals[None] < losses[:, None], axis=2)
    return np.any(at_least & better, axis=1)


class Front(Generic[Item]):
    """The front of the points added so far, each with an item of the caller's.

    Adding costs time in proportion to the front, not to all points seen.
    """

    def __init__(self, directions: Sequence[Direction]) -> None:
        self._signs = _signs(directions)
        self._losses = np.empty((0, len(self._signs)))
        self._items: list[Item] = []

    def add(self, point: ArrayLike, item: Item) -> bool:
        """Add one point; whether it is on the front now.

        Raises:
            InvalidSetting: for a wrong number of objectives or NaN.
        """
        loss = _checked(np.atleast_2d(np.asarray(point, dtype=float)), len(self._signs))
        loss = loss * self._signs
        if _dominated(loss, self._losses)[0]:
            return False
        stays = np.any(self._losses < loss, axis=1) | np.all(self._losses == loss, axis=1)
        self._losses = np.concatenate([self._losses[stays], loss])
        self._items = [one for one, stay in zip(self._items, stays, strict=True) if stay] + [item]
        return True

    @property
    def points(self) -> np.ndarray:
        """Shape (members, objectives), in the order in which they were added."""
        return self._losses * self._signs

    @property
    def items(self) -> tuple[Item, ...]:
        """The members' items, in the same order."""
        return tuple(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


def hypervolume(
    points: ArrayLike,
    reference: Sequence[float],
    directions: Sequence[Direction] = ("minimize", "minimize"),
) -> float:
    """The area that at least one point dominates and that dominates `reference`, exactly.

    Points that are not better than `reference` in both objectives add nothing.

    Raises:
        InvalidSetting: for other than two objectives, an unknown direction or NaN.
    """
    if len(directions) != 2:
        raise InvalidSetting(
            f"hypervolume is computed for two objectives, got {len(directions)}; choose two"
        )
    worst = as_losses([reference], directions)[0]
    losses = as_losses(points, directions)
    losses = losses[np.all(losses < worst, axis=1)]
    if not len(losses):
        return 0.0
    losses = losses[np.lexsort(losses.T[::-1])]
    ceiling = np.minimum.accumulate(losses[:, 1])  # best second objective so far
    widths = np.diff(np.append(losses[:, 0], worst[0]))
    return float(np.sum(widths * (worst[1] - ceiling)))


def knee(points: ArrayLike, directions: Sequence[Direction]) -> int:
    """Index of the front's point that bends furthest from the line between the front's ends.

    Beyond it one objective is bought dearly by the other. Both are first stretched to 0..1 over the
    front, so give costs that grow by factors as logarithms. If no member lies on the better side of
    that line, it is the end with the best first objective.

    Source: Das 1999, On characterizing the "knee" of the Pareto curve.

    Raises:
        InvalidSetting: for no points, other than two objectives, an unknown direction or NaN.
    """
    if len(directions) != 2:
        raise InvalidSetting(f"a knee is found for two objectives, got {len(directions)}")
    members = front(points, directions)
    if not len(members):
        raise InvalidSetting("there are no points, so there is no knee")
    losses = as_losses(points, directions)[members]
    low, high = losses.min(axis=0), losses.max(axis=0)
    if (low == high).any():  # all members are equal
        return int(members[0])
    stretched = (losses - low) / (high - low)
    # The ends are (0, 1) and (1, 0): what both objectives together stay below 1.
    gains = 1 - stretched.sum(axis=1)
    best = np.lexsort((losses[:, 0], -gains.round(12)))[0]
    return int(members[best])


def as_losses(points: ArrayLike, directions: Sequence[Direction]) -> np.ndarray:
    """The points with every objective turned so that less is better.

    Raises:
        InvalidSetting: for a wrong shape, an unknown direction or NaN.
    """
    signs = _signs(directions)
    array = np.asarray(points, dtype=float)
    if array.size == 0:
        array = array.reshape(0, len(signs))
    return _checked(array, len(signs)) * signs


def _signs(directions: Sequence[Direction]) -> np.ndarray:
    if isinstance(directions, str) or not directions:
        raise InvalidSetting(f"directions must be a list with one entry each, got {directions!r}")
    for direction in directions:
        if direction not in _SIGNS:
            raise InvalidSetting(f"a direction is minimize or maximize, got {direction!r}")
    return np.array([_SIGNS[direction] for direction in directions])


def _checked(array: np.ndarray, objectives: int) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] != objectives:
        raise InvalidSetting(
            f"points must have shape (points, {objectives}), one column for each direction, "
            f"got {array.shape}"
        )
    if np.isnan(array).any():
        raise InvalidSetting("a point has NaN in it; leave failed trials out")
    return array
