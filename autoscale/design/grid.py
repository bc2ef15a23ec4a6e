"""The grid of (alpha, beta, gamma) around a base, each point at its real cost.

Source of the grid: Tan & Le 2019, section 4, step 1 (size and step are not given there). Points are
admitted by counted multiply-adds after rounding, not by alpha * beta**2 * gamma**2, and points that
round to the same network are one candidate.
"""

import re
from dataclasses import dataclass
from math import inf, log

import numpy as np

from autoscale.design.architecture import Architecture
from autoscale.design.budget import Budget
from autoscale.design.cost import Cost, cost
from autoscale.design.costs import scaled_costs
from autoscale.design.scaling import Coefficients, Rounding, scale
from autoscale.errors import BudgetUnreachable, InvalidSetting

#: More points than this are refused: a typing mistake costs minutes.
MOST_POINTS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One distinct network of a grid and the points that round to it."""

    architecture: Architecture
    cost: Cost
    growth: float  # multiply-adds / the base's
    points: tuple[Coefficients, ...]  # in grid order

    @property
    def coefficients(self) -> Coefficients:
        """The point whose nominal product is nearest to the measured growth."""
        return min(self.points, key=lambda point: abs(log(point.nominal / self.growth)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What a grid holds within a budget."""

    base: Architecture
    base_cost: Cost
    budget: Budget
    tolerance: float
    points: int  # in the whole grid
    admitted: int  # points within the tolerance
    candidates: tuple[Candidate, ...]  # distinct networks, nearest to the budget first


def axis(text: str, *, step: float) -> tuple[float, ...]:
    """Read `1..2` as every multiple of `step` from 1 to 2, `1,1.5` as these, `1` as that alone.

    Raises:
        InvalidSetting: for anything else, values below 1, or a step not above 0.
    """
    if not MOST_POINTS**-1 <= step < inf:
        raise InvalidSetting(f"the step must be a number of at least {1 / MOST_POINTS}, got {step}")
    number = r"\d{1,6}(?:\.\d{1,12})?"
    if found := re.fullmatch(rf"({number})\.\.({number})", text.strip()):
        first, last = float(found.group(1)), float(found.group(2))
        if last < first:
            raise InvalidSetting(f"the range {text!r} ends before it begins; turn it round")
        count = int((last - first) / step + 1e-9) + 1
        if count > MOST_POINTS:
            raise InvalidSetting(
                f"{text} in steps of {step} has {count:,} values; take a larger step"
            )
        values = tuple(round(first + i * step, 10) for i in range(count))
    elif re.fullmatch(rf"{number}(,{number})*", text.strip()):
        values = tuple(sorted({float(value) for value in text.split(",")}))
    else:
        raise InvalidSetting(f"not a range: {text!r}; write 1..2 or 1,1.1,1.2")
    if not values or values[0] < 1:
        raise InvalidSetting(f"alpha, beta and gamma must be at least 1, got {text!r}")
    return values


def build_grid(
    base: Architecture,
    budget: Budget,
    *,
    alphas: tuple[float, ...],
    betas: tuple[float, ...],
    gammas: tuple[float, ...],
    tolerance: float,
    rounding: Rounding,
) -> Grid:
    """Count every point and keep those whose multiply-adds lie within `tolerance` of the budget.

    Args:
        tolerance: largest relative distance to the budget; 0.05 is 5 %.

    Raises:
        BudgetUnreachable: if no point does; the message names the nearest.
        InvalidSetting: for a tolerance not above 0, or over two million points.
    """
    if not 0 < tolerance < 1:
        raise InvalidSetting(f"the tolerance must lie between 0 and 1, got {tolerance}")
    count = len(alphas) * len(betas) * len(gammas)
    if count > MOST_POINTS:
        raise InvalidSetting(
            f"the grid has {count:,} points, at most {MOST_POINTS:,}; widen --step"
        )
    macs = scaled_costs(
        base,
        depth=np.array(alphas)[:, None, None],
        width=np.array(betas)[None, :, None],
        resolution=rounding.resolution(base.resolution, np.array(gammas))[None, None, :],
        rounding=rounding,
    ).macs
    growths = np.broadcast_to(macs, (len(alphas), len(betas), len(gammas))) / budget.base_macs
    distances = np.abs(growths / budget.ratio - 1)

    def point(place: tuple[int, ...]) -> Coefficients:
        return Coefficients(alpha=alphas[place[0]], beta=betas[place[1]], gamma=gammas[place[2]])

    merged: dict[Architecture, list[Coefficients]] = {}
    for place in np.argwhere(distances <= tolerance):
        found = point(tuple(place))
        architecture = scale(
            base,
            depth=found.alpha,
            width=found.beta,
            resolution=rounding.resolution(base.resolution, found.gamma),
            rounding=rounding,
        )
        merged.setdefault(architecture, []).append(found)
    if not merged:
        closest = np.unravel_index(np.argmin(distances), distances.shape)
        nearest = point(tuple(int(index) for index in closest))
        raise BudgetUnreachable(
            f"no coefficients within {tolerance:.0%} of {budget.ratio:.4g}x; the nearest grid "
            f"point (alpha {nearest.alpha:g}, beta {nearest.beta:g}, gamma {nearest.gamma:g}) "
            f"gives {growths[closest]:.4g}x; widen --tolerance or the ranges, or reduce --step"
        )
    candidates = [
        Candidate(
            architecture=architecture,
            cost=cost(architecture),
            growth=cost(architecture).macs / budget.base_macs,
            points=tuple(points),
        )
        for architecture, points in merged.items()
    ]
    candidates.sort(key=lambda candidate: abs(candidate.growth / budget.ratio - 1))
    return Grid(
        base=base,
        base_cost=cost(base),
        budget=budget,
        tolerance=tolerance,
        points=count,
        admitted=sum(len(points) for points in merged.values()),
        candidates=tuple(candidates),
    )


def spread(candidates: tuple[Candidate, ...], count: int) -> tuple[Candidate, ...]:
    """At most `count` candidates that cover the grid: each next one is farthest from the chosen.

    Distances are taken between the logarithms of alpha, beta and gamma; the first candidate, which
    is nearest to the budget, is always in.

    Raises:
        InvalidSetting: if `count` is below 1.
    """
    if count < 1:
        raise InvalidSetting(f"the number of candidates must be at least 1, got {count}")
    chosen = list(candidates[:1])
    rest = list(candidates[1:])
    while rest and len(chosen) < count:
        farthest = max(rest, key=lambda c: min(_distance(c, other) for other in chosen))
        chosen.append(farthest)
        rest.remove(farthest)
    return tuple(chosen)


def _distance(one: Candidate, other: Candidate) -> float:
    a, b = one.coefficients, other.coefficients
    return (
        log(a.alpha / b.alpha) ** 2
        + log(a.beta**2 / b.beta**2) ** 2
        + log(a.gamma**2 / b.gamma**2) ** 2
    )
