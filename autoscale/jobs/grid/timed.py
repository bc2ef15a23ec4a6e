"""A budget that is measured: networks timed on this device, few of them, the others predicted.

A grid has thousands of points and one timing takes a second, so the time of a network is predicted
from its counts by a line fitted to those already timed. What is raced is timed itself; what the
line says only decides which networks are worth timing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from autoscale.errors import BudgetUnreachable
from autoscale.jobs.grid.stopwatch import Stopwatch
from autoscale.scaling.budget import Budget
from autoscale.scaling.grid import Candidate, Grid, spread
from autoscale.scaling.nearness import FEWEST, limits, nearest_beyond
from autoscale.scaling.rules import RULES, rival
from autoscale.scaling.scalable import Network, Scalable

#: How often the line is fitted anew, or corrected, and asked again.
ROUNDS = 4
#: Ways of growing whose networks are timed before the line is asked.
SCOUTS = ("depth only", "width only", "resolution only", "paper")


def timed_grid(
    base: Scalable,
    watch: Stopwatch,
    budget: Budget,
    build: Callable[[Budget], Grid],
    *,
    most: int,
    fewest: int = FEWEST,
) -> Grid:
    """The grid of a latency budget, all its candidates timed.

    Where fewer than `fewest` are within the tolerance, the nearest that were timed are taken.

    Args:
        build: the grid of a budget whose measure predicts.
        most: candidates that are timed in one round.

    Raises:
        BudgetUnreachable: if no timed network answers for the budget; the nearest is named.
    """
    watch([_along(base, rule, budget.ratio**part) for rule in SCOUTS for part in (0.5, 1.0)])
    timed: dict[Network, Candidate] = {}
    grid: Grid | None = None
    for _ in range(ROUNDS):
        try:
            grid = build(replace(budget, measure=watch.line()))
        except BudgetUnreachable:
            if grid is None:
                raise
            break  # what was timed so far is what there is
        chosen = [c for c in spread(grid.candidates, most) if c.network not in timed]
        times = watch([c.network for c in chosen])
        for entry, milliseconds in zip(chosen, times, strict=True):
            timed[entry.network] = replace(entry, growth=milliseconds / budget.base)
        within = [c for c in timed.values() if grid.keeps(c)]
        if len(within) >= min(most, len(grid.candidates)) or not chosen:
            break
    assert grid is not None
    within.sort(key=lambda c: abs(budget.distance(c.growth)))
    rest = [c for c in timed.values() if not grid.keeps(c)]
    others = nearest_beyond(
        np.array([c.growth for c in rest]),
        lambda growth: [c for c in rest if c.growth == growth],
        budget,
        found=len(within),
        fewest=fewest,
    )
    if not within and not others:
        raise _out_of_reach(grid, list(timed.values()), budget)
    return replace(
        grid,
        budget=budget,
        candidates=(*within, *others)[:most],
        admitted=sum(len(entry.points) for entry in within[:most]),
    )


def _out_of_reach(grid: Grid, timed: Sequence[Candidate], budget: Budget) -> BudgetUnreachable:
    nearest = min(timed, key=lambda candidate: _off(candidate, budget))
    low, high = limits(budget)
    return BudgetUnreachable(
        f"no network timed within {grid.tolerance:.3g} of {budget.ratio:.4g}x; the nearest takes "
        f"{nearest.growth:.4g}x, outside the {low:.4g}x to {high:.4g}x that are taken for want of "
        "nearer ones; widen the ranges, or choose another budget"
    )


def timed_rival(
    base: Scalable, watch: Stopwatch, budget: Budget, rule: str, *, tolerance: float
) -> Candidate:
    """The network of a rule that takes about what the budget says, timed."""
    line = watch.line()
    best: Candidate | None = None
    for _ in range(ROUNDS):
        found = rival(base, replace(budget, measure=line), rule)
        (milliseconds,) = watch([found.network])
        timed = replace(found, growth=milliseconds / budget.base)
        if best is None or _off(timed, budget) < _off(best, budget):
            best = timed
        if abs(budget.distance(timed.growth)) <= tolerance:
            break
        correction = milliseconds / (found.growth * budget.base)
        line = replace(line, factor=line.factor * correction)
    assert best is not None
    return best


def _off(entry: Candidate, budget: Budget) -> float:
    return abs(math.log(entry.growth / budget.ratio))


def _along(base: Scalable, rule: str, size: float) -> Network:
    growth = RULES[rule](size)
    return base.at(growth.depth, growth.width, int(base.pixels(growth.resolution)))
