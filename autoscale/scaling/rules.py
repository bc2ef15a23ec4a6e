"""Simpler ways of growing, each one path through depth, width and resolution.

They are what a grid's pick must beat, so each is brought to the same cost as the grid's candidates:
by moving along its path, and, where whole blocks and pixels are too coarse for that, by moving one
dimension a little further.
"""

from collections.abc import Callable, Mapping
from functools import cache
from math import exp, log, sqrt

import numpy as np

from autoscale.design.cost import cost
from autoscale.design.published.efficientnet import EFFICIENTNET_B0
from autoscale.design.published.tinynet import TINYNET, TINYNETS
from autoscale.design.rounding import PAPER, Coefficients
from autoscale.scaling.budget import Budget
from autoscale.scaling.grid import Candidate, candidate
from autoscale.scaling.scalable import Growth, Scalable
from autoscale.scaling.solve import DIMENSIONS, Solver, nearest_place

#: Largest distance of a rival's cost to the budget.
RIVAL_TOLERANCE = 0.02

#: How far a dimension may be moved off a path, as a factor.
TRIM = 1.25

_STEPS = 4000


@cache
def _tinynets() -> tuple[tuple[float, ...], ...]:
    """Logarithms of cost, depth, width and resolution of the TinyNets, against B0's."""
    base = log(cost(EFFICIENTNET_B0).macs)
    rows = sorted(
        (log(cost(TINYNET[name]).macs) - base, log(m.depth), log(m.width), log(m.resolution / 224))
        for name, m in TINYNETS.items()
    )
    return tuple(zip(*rows, (0.0,) * 4, strict=True))


def _tinynet(size: float) -> Growth:
    """Between the published TinyNets, whose multipliers are interpolated over the cost.

    Beyond the smallest, on along the line through it; at the base's own size, nothing changes.
    """
    sizes, *columns = _tinynets()
    wanted = log(size)
    if wanted < sizes[0]:
        return Growth(*(exp(column[0] * wanted / sizes[0]) for column in columns))
    return Growth(*(exp(float(np.interp(wanted, sizes, column))) for column in columns))


#: From the nominal growth of the cost to the growth of each dimension.
RULES: Mapping[str, Callable[[float], Growth]] = {
    "depth only": lambda size: Growth(size, 1.0, 1.0),
    "width only": lambda size: Growth(1.0, sqrt(size), 1.0),
    "resolution only": lambda size: Growth(1.0, 1.0, sqrt(size)),
    # Source: Dollar et al. 2021 (dWr): mostly width, so that activations grow slowly.
    "fast (dWr)": lambda size: Growth(size**0.1, size**0.4, size**0.05),
    # Source: Tan & Le 2019, equation 3 with the coefficients of section 4.
    "paper": lambda size: _power(PAPER, log(size) / log(PAPER.nominal)),
    # Source: Han et al. 2020 (TinyNet), Table of TinyNet-A to E.
    "tinynet": _tinynet,
}

#: Which rules are asked for when a network grows, and when it shrinks.
GROWING = ("depth only", "width only", "resolution only", "fast (dWr)", "paper")
SHRINKING = ("depth only", "width only", "resolution only", "paper", "tinynet")


def _power(point: Coefficients, phi: float) -> Growth:
    return Growth(point.alpha**phi, point.beta**phi, point.gamma**phi)


def rival(
    base: Scalable,
    budget: Budget,
    rule: str,
    *,
    tolerance: float = RIVAL_TOLERANCE,
) -> Candidate:
    """The network of a rule that comes nearest to the budget.

    Its growth says how near that is; `moved` names the dimensions that were moved off the rule's
    path because the path itself does not come within `tolerance`.
    """
    solver = Solver(base, budget)
    reach = 3 * abs(log(budget.ratio)) + log(2)
    ends = (0.0, reach) if budget.ratio >= 1 else (-reach, 0.0)
    path = [RULES[rule](exp(size)) for size in np.linspace(*ends, _STEPS)]
    depth, width, factor = (np.array(column) for column in zip(*path, strict=True))
    pixels = base.pixels(factor)

    def at(places: np.ndarray) -> np.ndarray:
        return solver.growths(depth[places], width[places], pixels[places])

    place = nearest_place(at, _STEPS, 1, budget.ratio)
    start = (depth[place], width[place], pixels[place])
    growth, moved = at(place)[0], ""
    if abs(growth / budget.ratio - 1) > tolerance:
        # From the side of the base on, so that no dimension is moved against the rule's direction;
        # only if that is too coarse too, a little in both directions.
        up = budget.ratio >= 1
        short = place + (-1 if up else 1) * ((growth > budget.ratio) == up)
        short = np.clip(short, 0, _STEPS - 1)
        onward = (1.0, TRIM) if up else (1 / TRIM, 1.0)
        found = [
            solver.solve(
                *begin,
                order=order,
                ends={
                    name: (float(here[0]) * factors[0], float(here[0]) * factors[1])
                    for name, here in zip(DIMENSIONS, begin, strict=True)
                },
                tolerance=tolerance,
            )
            for begin, factors in (
                ((depth[short], width[short], pixels[short]), onward),
                (start, (1 / TRIM, TRIM)),
            )
            for order in (("resolution",), ("width",), ("depth",), ("resolution", "width"))
        ]
        best = next(
            (s for s in found if abs(s.growths[0] / budget.ratio - 1) <= tolerance),
            min(found, key=lambda s: abs(log(s.growths[0] / budget.ratio))),
        )
        if abs(log(best.growths[0] / budget.ratio)) < abs(log(growth / budget.ratio)):
            start = (best.depth, best.width, best.resolution)
            growth, moved = best.growths[0], best.moved[0]
    d, w, r = float(start[0][0]), float(start[1][0]), int(start[2][0])
    return candidate(
        base.at(1.0, 1.0, base.resolution),
        base.at(d, w, r),
        growth=float(growth),
        points=(Coefficients(alpha=d, beta=w, gamma=r / base.resolution),),
        moved=moved,
        rules=(rule,),
    )
