"""Limits on costs: a network keeps all of them, or is not looked at."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import MapSize, map_size, output_size
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import MEASURES, kind_named, measure_named
from autoscale.design.space import SearchSpace
from autoscale.design.walk import place_of, stem_output_size
from autoscale.errors import BudgetUnreachable, InvalidSetting

#: Random designs that are looked at before the least costs of a space are worked out.
_DRAWN = 200
#: And of a space of which parts leave it open whether limits can be kept.
_SEARCHED = 2000
#: Ways through a space whose designs are looked at for the nearest.
_LOOKED_AT = 500


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

    Where parts tell of a measure only the least that it can be, limits are refused too that no
    design keeps of those that come nearest by it, and of some thousands that are drawn.

    Raises:
        BudgetUnreachable: naming what the nearest network costs.
    """
    if not limits:
        return
    rng = random.Random(0)
    if any(broken(limits, space.sample(rng)) is None for _ in range(_DRAWN)):
        return
    nearest, possible = _nearest(space, limits)
    costs = [_cost(limit, nearest) for limit in limits]
    if all(cost <= limit.most for cost, limit in zip(costs, limits, strict=True)):
        return
    if possible and any(broken(limits, space.sample(rng)) is None for _ in range(_SEARCHED)):
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
    Where parts tell of a measure only the least that it can be, it is the nearest of the designs
    that come out so.

    Returns:
        One cost for each limit, in their order.
    """
    nearest, _ = _nearest(space, limits)
    return tuple(_cost(limit, nearest) for limit in limits)


def _cost(limit: Limit, architecture: Architecture) -> float:
    cost = float(limit.measure.of(architecture))
    return round(cost) if limit.measure.whole else cost


def _nearest(space: SearchSpace, limits: Sequence[Limit]) -> tuple[Architecture, bool]:
    """The nearest design, and whether the parts of some design leave it open to keep all limits."""
    most = np.array([abs(limit.most) or 1 for limit in limits], dtype=float)
    ends = [
        end for one in space.variants for side in one.resolution for end in _ends(one, side, limits)
    ]
    least = np.array([end.totals(limits) for end in ends])
    worst = (least / most).max(axis=1)
    order = np.lexsort((least.sum(axis=1), worst)).tolist()
    possible = bool((least <= [limit.most for limit in limits]).all(axis=1).any())
    found, reached = None, np.inf
    for place in order[:_LOOKED_AT]:
        if worst[place] >= reached:
            break
        design = ends[place].architecture
        own = max(_cost(limit, design) / m for limit, m in zip(limits, most, strict=True))
        if own < reached:
            found, reached = design, own
    assert found is not None, "a space has a design"
    return found, possible


@dataclass(frozen=True, slots=True)
class _Way:
    """A way through a space up to some part: what it costs so far, and which parts it took."""

    costs: np.ndarray  # a number for each share of each limited measure
    parts: tuple[Stem | Stage | Head, ...]
    space: SearchSpace
    resolution: int

    def totals(self, limits: Sequence[Limit]) -> list[float]:
        """The least that each limited measure can be."""
        ends = np.cumsum([len(limit.measure.parts) for limit in limits])[:-1]
        return [float(shares.sum()) for shares in np.split(self.costs, ends)]

    @property
    def architecture(self) -> Architecture:
        """The design at its end."""
        stem, *stages, head = self.parts
        assert isinstance(stem, Stem)
        assert isinstance(head, Head)
        return Architecture(
            resolution=self.resolution,
            channels=self.space.channels,
            aspect=self.space.aspect,
            stem=stem,
            stages=tuple(stage for stage in stages if isinstance(stage, Stage)),
            head=head,
            num_classes=self.space.num_classes,
        )


def _ends(space: SearchSpace, resolution: int, limits: Sequence[Limit]) -> list[_Way]:
    """The ways through one resolution that no other undercuts everywhere."""
    measures = [limit.measure for limit in limits]
    largest = np.array([fold == "max" for measure in measures for fold in measure.parts])

    def costs(part: Stem | Stage | Head, width: int, size: MapSize) -> np.ndarray:
        place = place_of(part, width, size, space.num_classes if isinstance(part, Head) else 0)
        return np.array([float(one) for measure in measures for one in measure.shares(place)])

    def further(ways: Sequence[_Way], options: Sequence[tuple[np.ndarray, Any]]) -> list[_Way]:
        before = np.array([way.costs for way in ways])[:, None, :]
        kept = _undercut_by_none(np.array([row for row, _ in options]))
        options = [options[place] for place in kept]
        after = np.array([row for row, _ in options])[None, :, :]
        both = np.where(largest, np.maximum(before, after), before + after)
        rows = both.reshape(-1, len(largest))
        return [
            replace(
                ways[place // len(options)],
                costs=rows[place],
                parts=(*ways[place // len(options)].parts, options[place % len(options)][1]),
            )
            for place in _undercut_by_none(rows)
        ]

    image = size = map_size(resolution, space.aspect)
    reached: dict[int, list[_Way]] = {}
    for stem in space.stem.parts():
        way = _Way(costs(stem, space.channels, image), (stem,), space, resolution)
        reached.setdefault(stem.width, []).append(way)
        size = stem_output_size(stem, image)
    for choices in space.stages:
        onward: dict[int, list[_Way]] = {}
        for width, ways in reached.items():
            options: dict[int, list[tuple[np.ndarray, Any]]] = {}
            for stage in choices.parts():
                options.setdefault(stage.width, []).append((costs(stage, width, size), stage))
            for after, rows in options.items():
                onward.setdefault(after, []).extend(further(ways, rows))
        reached = {width: _best_of(ways) for width, ways in onward.items()}
        size = output_size(size, choices.stride)
    ends = [
        way
        for width, ways in reached.items()
        for way in further(ways, [(costs(head, width, size), head) for head in space.head.parts()])
    ]
    return _best_of(ends)


def _best_of(ways: Sequence[_Way]) -> list[_Way]:
    return [ways[place] for place in _undercut_by_none(np.array([way.costs for way in ways]))]


def _undercut_by_none(rows: np.ndarray) -> list[int]:
    """The places of rows that no other undercuts everywhere; of equal ones, one."""
    unique, places = np.unique(rows, axis=0, return_index=True)
    kept = []
    while len(unique):
        first = unique[0]  # no later row is at most as large everywhere
        kept.append(int(places[0]))
        left = (unique < first).any(axis=1)
        unique, places = unique[left], places[left]
    return kept
