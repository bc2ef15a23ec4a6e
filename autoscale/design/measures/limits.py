"""Limits on costs: a network keeps all of them, or is not looked at."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import MEASURES, kind_named, measure_named
from autoscale.design.space import SearchSpace
from autoscale.design.walk import Place, output_size, place_of, stem_output_size
from autoscale.errors import BudgetUnreachable, InvalidSetting

#: Random designs that are looked at before the least costs of a space are worked out.
_DRAWN = 200


@dataclass(frozen=True, slots=True)
class Limit:
    """What a network may cost at most, in one measure."""

    measure: CostMeasure
    most: float

    @property
    def exactly(self) -> str:
        """For people: 8,000,000 multiply-adds."""
        return self.measure.exactly(self.most)

    @property
    def text(self) -> str:
        """As commands take it: macs=8000000."""
        return f"{self.measure.name}={self.measure.write(self.most)}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data: the most, and what the measure knows besides its name."""
        own = self.measure.to_dict()
        return {"most": self.most} | ({"measure": own} if own else {})

    @classmethod
    def from_dict(cls, name: str, plain: Mapping[str, Any]) -> "Limit":
        """Read what `to_dict` gave of the measure `name`.

        Raises:
            KeyError, TypeError: if it is something else.
        """
        return cls(MEASURES[name].from_dict(plain.get("measure", {})), plain["most"])

    def excess(self, cost: float) -> float:
        """By what share of the limit a cost exceeds it; at most 0 if it does not."""
        return float((cost - self.most) / (abs(self.most) or 1))

    def allows(self, architecture: Architecture) -> bool:
        """Whether a design keeps it."""
        return self.measure.of(architecture) <= self.most


def most_macs(most: int | None) -> tuple[Limit, ...]:
    """The limit on multiply-adds, if there is one."""
    return () if most is None else (Limit(MACS, most),)


def parse_limits(texts: Iterable[str], read: Callable[[str], str]) -> tuple[Limit, ...]:
    """Read limits such as `params=250K` and `latency=12ms`; all of them are to be kept.

    Args:
        read: gives the text of a file that a measure names.

    Raises:
        InvalidSetting: for anything else, no limit above 0, or a measure that stands twice.
    """
    found: dict[str, Limit] = {}
    for text in texts:
        asked, most = split_limit(text)
        measure = measure_named(asked, read)
        if measure.name in found:
            raise InvalidSetting(f"{measure.name} is limited twice; keep the lower limit")
        found[measure.name] = Limit(measure, most)
    return tuple(found.values())


def split_limit(text: str) -> tuple[str, float]:
    """The cost that a limit such as `params=250K` names, and the most of it; no file is read.

    Raises:
        InvalidSetting: for anything else, or no limit above 0.
    """
    asked, sign, amount = text.rpartition("=")
    if not sign or not asked.strip():
        raise InvalidSetting(
            f"not a limit: {text!r}; write a cost and the most of it, as params=250K"
        )
    most = kind_named(asked).parse(amount)
    if not most > 0:
        raise InvalidSetting(f"a limit must be above 0, got {text!r}")
    return asked, most


def broken(limits: Sequence[Limit], architecture: Architecture) -> Limit | None:
    """The first limit that a design breaks; None if it keeps all."""
    return next((limit for limit in limits if not limit.allows(architecture)), None)


def all_of(texts: Sequence[str]) -> str:
    """Parts of a sentence that hold together: a, b and c."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def require_reachable(space: SearchSpace, limits: Sequence[Limit]) -> None:
    """Refuse limits that no network of the space keeps together.

    Raises:
        BudgetUnreachable: naming what the nearest network costs.
    """
    if not limits:
        return
    rng = random.Random(0)
    if any(broken(limits, space.sample(rng)) is None for _ in range(_DRAWN)):
        return
    costs = nearest_costs(space, limits)
    if all(cost <= limit.most for cost, limit in zip(costs, limits, strict=True)):
        return
    wanted = all_of([limit.exactly for limit in limits])
    if len(limits) == 1:
        (limit,), (cost,) = limits, costs
        least = limit.measure.exactly(cost).removesuffix(f" {limit.measure.unit}")
        raise BudgetUnreachable(
            f"no network of the space {space.name!r} costs at most {wanted}; the cheapest costs "
            f"{least}; raise the limit or choose another space"
        )
    found = all_of([m.measure.exactly(c) for m, c in zip(limits, costs, strict=True)])
    raise BudgetUnreachable(
        f"no network of the space {space.name!r} costs at most {wanted} together; the nearest "
        f"costs {found}; raise a limit or choose another space"
    )


def nearest_costs(space: SearchSpace, limits: Sequence[Limit]) -> tuple[float, ...]:
    """What that network of a space costs which comes nearest to keeping all limits.

    Nearest is whose cost is the smallest multiple of its limit, in the measure that is worst. Found
    exactly: the cost of a part depends on earlier choices only through its input's width and size,
    so of all ways that lead to one width, those suffice that no other way undercuts everywhere.

    Returns:
        One cost for each limit, in their order.
    """
    most = np.array([abs(limit.most) or 1 for limit in limits], dtype=float)
    ends = np.concatenate([_least_costs(space, side, limits) for side in space.resolution])
    worst = (ends / most).max(axis=1)
    best = ends[int(np.lexsort((ends.sum(axis=1), worst))[0])].tolist()
    return tuple(
        round(cost) if limit.measure.whole else cost
        for cost, limit in zip(best, limits, strict=True)
    )


def _least_costs(space: SearchSpace, resolution: int, limits: Sequence[Limit]) -> np.ndarray:
    """Costs that no network of one resolution undercuts everywhere, shape (networks, limits)."""
    measures = [limit.measure for limit in limits]
    largest = np.array([measure.parts == "max" for measure in measures])

    def costs(place: Place) -> list[float]:
        return [float(measure.at(place)) for measure in measures]

    def further(reached: np.ndarray, parts: list[list[float]]) -> np.ndarray:
        before, after = reached[:, None, :], _undercut_by_none(np.array(parts))[None, :, :]
        both = np.where(largest, np.maximum(before, after), before + after)
        return both.reshape(-1, len(measures))

    ways: dict[int, list[list[float]]] = {}
    for stem in space.stem.parts():
        ways.setdefault(stem.width, []).append(costs(place_of(stem, 3, resolution)))
        size = stem_output_size(stem, resolution)
    reached = {width: _undercut_by_none(np.array(rows)) for width, rows in ways.items()}
    for choices in space.stages:
        onward: dict[int, list[np.ndarray]] = {}
        for width, before in reached.items():
            ways = {}
            for stage in choices.parts():
                ways.setdefault(stage.width, []).append(costs(place_of(stage, width, size)))
            for after, rows in ways.items():
                onward.setdefault(after, []).append(further(before, rows))
        reached = {w: _undercut_by_none(np.concatenate(parts)) for w, parts in onward.items()}
        size = output_size(size, choices.stride)
    ends = [
        further(
            before,
            [costs(place_of(head, width, size, space.num_classes)) for head in space.head.parts()],
        )
        for width, before in reached.items()
    ]
    return _undercut_by_none(np.concatenate(ends))


def _undercut_by_none(rows: np.ndarray) -> np.ndarray:
    """The rows that no other is at most as large as in every column; of equal ones, one."""
    rows = np.unique(rows, axis=0)
    kept = []
    while len(rows):
        first, rows = rows[0], rows[1:]  # no later row is at most as large everywhere
        kept.append(first)
        rows = rows[(rows < first).any(axis=1)]
    return np.array(kept)
