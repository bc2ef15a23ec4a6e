"""The grid of (alpha, beta, gamma) around a base, each point at its real cost.

Source of the grid: Tan & Le 2019, section 4, step 1 (size and step are not given there). Points are
admitted by their cost after rounding, not by alpha * beta**2 * gamma**2, and points that round to
the same network are one candidate. Solving moves a point until it meets the budget.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, log

import numpy as np

from autoscale.design.budget import MEASURES, Budget
from autoscale.design.cost import Cost
from autoscale.design.numbers import Number
from autoscale.design.scalable import Growth, Network, Scalable, cost_of, effective
from autoscale.design.scaling import Coefficients
from autoscale.design.solve import DIMENSIONS, Dimension, Solver
from autoscale.errors import BudgetUnreachable, InvalidSetting

#: More points than this are refused: a typing mistake costs minutes.
MOST_POINTS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One distinct network and the points that round to it."""

    network: Network
    cost: Cost
    growth: float  # in the budget's measure, of the base's
    measured: float  # multiply-adds, of the base's
    effective: Growth  # what depth, width and resolution became
    points: tuple[Coefficients, ...]  # in grid order
    moved: str = ""  # the dimensions that were moved to meet the budget
    rules: tuple[str, ...] = ()  # the simpler ways of growing that this network stands for

    @property
    def coefficients(self) -> Coefficients:
        """The point whose nominal product is nearest to the measured growth."""
        return min(self.points, key=lambda point: abs(log(point.nominal / self.measured)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What a grid holds within a budget."""

    base: Network
    base_cost: Cost
    budget: Budget
    tolerance: float
    points: int  # in the whole grid; when solving, of the dimensions that are not moved
    admitted: int  # points within the tolerance
    candidates: tuple[Candidate, ...]  # distinct networks, nearest to the budget first


def axis(text: str, *, step: float) -> tuple[float, ...]:
    """Read `1..2` as every multiple of `step` from 1 to 2, `1,1.5` as these, `1` as that alone.

    Raises:
        InvalidSetting: for anything else, values that are not above 0, or a step not above 0.
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
    if not values or values[0] <= 0:
        raise InvalidSetting(f"alpha, beta and gamma must be above 0, got {text!r}")
    return values


def build_grid(
    base: Scalable,
    budget: Budget,
    *,
    alphas: tuple[float, ...],
    betas: tuple[float, ...],
    gammas: tuple[float, ...],
    tolerance: float,
    solve: Sequence[Dimension] = (),
    value: Callable[[Cost], Number] | None = None,
) -> Grid:
    """Cost every point and keep those within `tolerance` of the budget.

    Args:
        tolerance: largest relative distance to the budget; 0.05 is 5 %.
        solve: dimensions to move, in this order, until a point meets the budget; the first one's
            values are then only the ends between which it moves.
        value: what the budget limits, if it is not counted.

    Raises:
        BudgetUnreachable: if no point does; the message names the nearest.
        InvalidSetting: for a tolerance not above 0, over two million points, or an unknown
            dimension.
    """
    if not 0 < tolerance < 1:
        raise InvalidSetting(f"the tolerance must lie between 0 and 1, got {tolerance}")
    solver = Solver(base, budget, value or MEASURES[budget.measure])
    axes = [np.array(alphas), np.array(betas), np.asarray(base.pixels(np.array(gammas)))]
    ends = {name: (a.min(), a.max()) for name, a in zip(DIMENSIONS, axes, strict=True)}
    if solve:
        place = DIMENSIONS.index(solve[0]) if solve[0] in DIMENSIONS else 0
        axes[place] = axes[place][:1]
    count = axes[0].size * axes[1].size * axes[2].size
    if count > MOST_POINTS:
        raise InvalidSetting(
            f"the grid has {count:,} points, at most {MOST_POINTS:,}; widen --step"
        )
    if solve:
        mesh = [flat.ravel() for flat in np.meshgrid(*axes, indexing="ij")]
        solved = solver.solve(*mesh, order=solve, ends=ends, tolerance=tolerance)
        growths, moved = solved.growths, solved.moved
        depths, widths, pixels = solved.depth, solved.width, solved.resolution
        gamma_of = pixels / base.resolution
    else:
        grown = solver.growths(axes[0][:, None, None], axes[1][:, None], axes[2])
        growths = np.broadcast_to(grown, [axis.size for axis in axes]).ravel()
        depths, widths, pixels = (m.ravel() for m in np.meshgrid(*axes, indexing="ij"))
        gamma_of = np.tile(np.array(gammas), axes[0].size * axes[1].size)
        moved = np.full(count, "", dtype=object)
    distances = np.abs(growths / budget.ratio - 1)

    def point(place: int) -> Coefficients:
        return Coefficients(
            alpha=float(depths[place]), beta=float(widths[place]), gamma=float(gamma_of[place])
        )

    merged: dict[Network, Candidate] = {}
    kept = np.flatnonzero(distances <= tolerance)
    root = base.at(1.0, 1.0, base.resolution)
    for place in kept.tolist():
        network = base.at(float(depths[place]), float(widths[place]), int(pixels[place]))
        if network in merged:
            earlier = merged[network]
            # Of two points that are one network, the one that was moved less says how to get it.
            if len(moved[place]) < len(earlier.moved):
                earlier = replace(earlier, moved=moved[place])
            merged[network] = replace(earlier, points=(*earlier.points, point(place)))
        else:
            merged[network] = candidate(
                root, network, growth=float(growths[place]), points=(point(place),),
                moved=str(moved[place]),
            )  # fmt: skip
    if not merged:
        closest = int(np.argmin(distances))
        nearest = point(closest)
        raise BudgetUnreachable(
            f"no coefficients within {tolerance:.3g} of {budget.ratio:.4g}x; the nearest grid "
            f"point (alpha {nearest.alpha:g}, beta {nearest.beta:g}, gamma {nearest.gamma:g}) "
            f"gives {growths[closest]:.4g}x; widen --tolerance or the ranges, or reduce --step"
        )
    candidates = sorted(merged.values(), key=lambda c: abs(c.growth / budget.ratio - 1))
    return Grid(
        base=root,
        base_cost=cost_of(root),
        budget=budget,
        tolerance=tolerance,
        points=count,
        admitted=len(kept),
        candidates=tuple(candidates),
    )


def candidate(
    base: Network,
    network: Network,
    *,
    growth: float,
    points: tuple[Coefficients, ...],
    moved: str = "",
    rules: tuple[str, ...] = (),
) -> Candidate:
    """A candidate with what follows from its network."""
    found = cost_of(network)
    return Candidate(
        network=network,
        cost=found,
        growth=growth,
        measured=found.macs / cost_of(base).macs,
        effective=effective(base, network),
        points=points,
        moved=moved,
        rules=rules,
    )


def field(chosen: Iterable[Candidate], rivals: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Candidates and rivals as one list in which every network stands once."""
    merged: dict[Network, Candidate] = {entry.network: entry for entry in chosen}
    for rival in rivals:
        same = merged.get(rival.network)
        merged[rival.network] = (
            rival if same is None else replace(same, rules=same.rules + rival.rules)
        )
    return tuple(merged.values())


def spread(candidates: tuple[Candidate, ...], count: int) -> tuple[Candidate, ...]:
    """`count` candidates that lie far apart, beginning with the one nearest to the budget.

    Distances are those of the logarithms of what depth, width squared and resolution squared
    became, so that equal steps cost alike.

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
    a, b = one.effective, other.effective
    return (
        log(a.depth / b.depth) ** 2
        + log(a.width**2 / b.width**2) ** 2
        + log(a.resolution**2 / b.resolution**2) ** 2
    )
