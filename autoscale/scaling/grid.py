"""The grid of (alpha, beta, gamma) around a base, each point at its real cost.

Source of the grid: Tan & Le 2019, section 4, step 1 (size and step are not given there). Points are
admitted by their cost after rounding, not by alpha * beta**2 * gamma**2, and points that round to
the same network are one candidate. Solving moves a point until it meets the budget. Where fewer
networks meet it than a race needs, the nearest others are taken and say how far they are.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, log

import numpy as np

from autoscale.design.cost import Cost
from autoscale.design.rounding import Coefficients
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.scaling.budget import Budget
from autoscale.scaling.limited import Limited
from autoscale.scaling.nearness import FEWEST, limits, nearest_beyond
from autoscale.scaling.scalable import Growth, Network, Scalable, cost_of, effective
from autoscale.scaling.solve import DIMENSIONS, Dimension, Solver

#: More points than this are refused: a typing mistake costs minutes.
MOST_POINTS = 2_000_000

UNLIMITED = Limited()


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
    """What a grid holds within a budget, or nearest to it."""

    base: Network
    base_cost: Cost
    budget: Budget
    tolerance: float  # that was wished for
    points: int  # in the whole grid; when solving, of the dimensions that are not moved
    admitted: int  # points within the tolerance
    candidates: tuple[Candidate, ...]  # distinct networks, nearest to the budget first

    @property
    def within(self) -> int:
        """Distinct networks within the tolerance."""
        return sum(self.keeps(entry) for entry in self.candidates)

    @property
    def widened(self) -> float | None:
        """The largest distance to the budget, unsigned, if not all candidates keep the tolerance.

        None if they do. Then fewer than a race needs kept it, and the nearest others were taken.
        """
        if self.within == len(self.candidates):
            return None
        return max(abs(self.budget.distance(entry.growth)) for entry in self.candidates)

    def keeps(self, entry: Candidate) -> bool:
        """Whether a candidate is within the tolerance."""
        return bool(abs(self.budget.distance(entry.growth)) <= self.tolerance)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """The points of a grid and what they cost; columns have one value a point, in grid order."""

    base: Scalable
    budget: Budget
    tolerance: float
    depth: np.ndarray
    width: np.ndarray
    resolution: np.ndarray  # whole pixels
    gamma: np.ndarray
    growths: np.ndarray  # in the budget's measure, of the base's
    moved: np.ndarray  # the dimensions that were moved to meet the budget, joined by "+"

    def coefficients(self, place: int) -> Coefficients:
        """The growth of one point."""
        return Coefficients(
            alpha=float(self.depth[place]),
            beta=float(self.width[place]),
            gamma=float(self.gamma[place]),
        )

    @property
    def near(self) -> np.ndarray:
        """Places of the points within the tolerance."""
        return np.flatnonzero(np.abs(self.budget.distance(self.growths)) <= self.tolerance)

    def candidates(self, places: np.ndarray) -> list[Candidate]:
        """The distinct networks of some points."""
        merged: dict[Network, Candidate] = {}
        root = self.base.at(1.0, 1.0, self.base.resolution)
        for place in places.tolist():
            network = self.base.at(
                float(self.depth[place]), float(self.width[place]), int(self.resolution[place])
            )
            point, moved = self.coefficients(place), str(self.moved[place])
            if network in merged:
                earlier = merged[network]
                # Of two points that are one network, the one moved less says how to get it.
                if len(moved) < len(earlier.moved):
                    earlier = replace(earlier, moved=moved)
                merged[network] = replace(earlier, points=(*earlier.points, point))
            else:
                growth = float(self.growths[place])
                merged[network] = candidate(
                    root, network, growth=growth, points=(point,), moved=moved
                )
        return list(merged.values())

    def grid(
        self,
        *,
        limited: Limited = UNLIMITED,
        fewest: int = FEWEST,
        unmoved: Callable[[], "Points"] | None = None,
    ) -> Grid:
        """The networks within the tolerance, and the nearest others where these are too few.

        Args:
            limited: says which networks keep limits on other costs; others are left out.
            fewest: distinct networks that the grid should hold.
            unmoved: of a grid that was solved, the points as they stand; asked for only where too
                few were moved to within the tolerance.

        Raises:
            BudgetUnreachable: if no point changes the base's cost, none comes near enough to the
                budget to answer for it, or none that does keeps the limits; the message names the
                nearest.
        """
        within = _allowed(self.candidates(self.near), limited)
        within.sort(key=lambda c: abs(self.budget.distance(c.growth)))
        others = []
        if len(within) < fewest:
            others = _nearest_of(self._with(unmoved), within, fewest, limited)
        if not within and not others:
            if limited.left_out:
                raise BudgetUnreachable(
                    f"no network near {self.budget.ratio:.4g}x keeps the limits ("
                    f"{limited.left_out}); the nearest costs {limited.nearest}; raise a limit or "
                    "choose another budget"
                )
            raise BudgetUnreachable(self._why_unreachable())
        root = self.base.at(1.0, 1.0, self.base.resolution)
        return Grid(
            base=root,
            base_cost=cost_of(root),
            budget=self.budget,
            tolerance=self.tolerance,
            points=self.growths.size,
            admitted=self.near.size,
            candidates=(*within, *others),
        )

    def _with(self, unmoved: Callable[[], "Points"] | None) -> tuple["Points", ...]:
        if unmoved is None:
            return (self,)
        try:
            return self, unmoved()
        except InvalidSetting:  # moving a dimension spared a grid of too many points
            return (self,)

    def _why_unreachable(self) -> str:
        if (self.growths == 1).all():
            return (
                f"no point of the ranges ({self.growths.size:,}) changes the base's "
                f"{self.budget.measure.unit}, wanted {self.budget.ratio:.4g}x; widen the "
                "ranges, or take a rounding with smaller steps"
            )
        closest = int(np.argmin(np.abs(np.log(self.growths / self.budget.ratio))))
        nearest = self.coefficients(closest)
        low, high = limits(self.budget)
        return (
            f"no coefficients within {self.tolerance:.3g} of {self.budget.ratio:.4g}x; the nearest "
            f"grid point (alpha {nearest.alpha:g}, beta {nearest.beta:g}, gamma "
            f"{nearest.gamma:g}) gives {self.growths[closest]:.4g}x, outside the {low:.4g}x to "
            f"{high:.4g}x that are taken for want of nearer ones; widen the ranges, or choose "
            "another budget"
        )


def _allowed(entries: Sequence[Candidate], limited: Limited) -> list[Candidate]:
    """Those of some candidates that keep the limits."""
    kept = limited([entry.network for entry in entries])
    return [entry for entry, keeps in zip(entries, kept, strict=True) if keeps]


def _nearest_of(
    pools: Sequence[Points], within: Sequence[Candidate], fewest: int, limited: Limited
) -> list[Candidate]:
    """The nearest candidates of several sets of points that bring those within to `fewest`."""
    held = {entry.network for entry in within}

    def at(growth: float) -> list[Candidate]:
        found: dict[Network, Candidate] = {}
        for pool in pools:
            for entry in pool.candidates(np.flatnonzero(pool.growths == growth)):
                found.setdefault(entry.network, entry)
        return _allowed([e for network, e in found.items() if network not in held], limited)

    growths = np.concatenate([pool.growths for pool in pools])
    return nearest_beyond(growths, at, pools[0].budget, found=len(within), fewest=fewest)


def build_grid(
    base: Scalable,
    budget: Budget,
    *,
    alphas: tuple[float, ...],
    betas: tuple[float, ...],
    gammas: tuple[float, ...],
    tolerance: float,
    solve: Sequence[Dimension] = (),
    limited: Limited = UNLIMITED,
) -> Grid:
    """The grid of `cost_points`: networks within the tolerance, or the nearest three.

    Raises:
        BudgetUnreachable: as `Points.grid`.
        InvalidSetting: as `cost_points`.
    """
    points = partial(
        cost_points,
        base,
        budget,
        alphas=alphas,
        betas=betas,
        gammas=gammas,
        tolerance=tolerance,
    )
    return points(solve=solve).grid(limited=limited, unmoved=points if solve else None)


def cost_points(
    base: Scalable,
    budget: Budget,
    *,
    alphas: tuple[float, ...],
    betas: tuple[float, ...],
    gammas: tuple[float, ...],
    tolerance: float,
    solve: Sequence[Dimension] = (),
) -> Points:
    """Cost every point of a grid.

    Args:
        tolerance: largest relative distance to the budget that is wished for; 0.05 is 5 %.
        solve: dimensions to move, in this order, until a point meets the budget; the first one's
            values are then only the ends between which it moves.

    Raises:
        InvalidSetting: for a tolerance that does not lie between 0 and 1, over two million points,
            or an unknown dimension.
    """
    if not 0 < tolerance < 1:
        raise InvalidSetting(f"the tolerance must lie between 0 and 1, got {tolerance}")
    solver = Solver(base, budget)
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
    depths, widths, pixels = (flat.ravel() for flat in np.meshgrid(*axes, indexing="ij"))
    if solve:
        solved = solver.solve(depths, widths, pixels, order=solve, ends=ends, tolerance=tolerance)
        growths, moved = solved.growths, solved.moved
        depths, widths, pixels = solved.depth, solved.width, solved.resolution
        gamma_of = pixels / base.resolution
    else:
        grown = solver.growths(axes[0][:, None, None], axes[1][:, None], axes[2])
        growths = np.broadcast_to(grown, [axis.size for axis in axes]).ravel()
        gamma_of = np.tile(np.array(gammas), axes[0].size * axes[1].size)
        moved = np.full(count, "", dtype=object)
    return Points(
        base=base,
        budget=budget,
        tolerance=tolerance,
        depth=depths,
        width=widths,
        resolution=pixels,
        gamma=gamma_of,
        growths=growths,
        moved=moved,
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
