"""A budget that is measured: networks timed on this device, few of them, the others predicted.

A grid has thousands of points and one timing takes a second, so the time of a network is predicted
from its counts by a line fitted to those already timed. What is raced is timed itself; what the
line says only decides which networks are worth timing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from autoscale.design.amounts import several
from autoscale.design.architecture import Architecture
from autoscale.design.measures.latency import LatencyLine
from autoscale.devices.timing.conditions import Conditions
from autoscale.devices.timing.latency import measure_latencies
from autoscale.errors import BudgetUnreachable, RunConflict
from autoscale.jobs.workers.proxy import realise
from autoscale.listener import Listener
from autoscale.runs.records import network_digest
from autoscale.scaling.budget import Budget
from autoscale.scaling.grid import Candidate, Grid, spread
from autoscale.scaling.nearness import FEWEST, limits, nearest_beyond
from autoscale.scaling.rules import RULES, rival
from autoscale.scaling.scalable import Network, Scalable, cost_of

#: Longest time that one network is timed.
SECONDS = 1.0
#: Networks that take turns.
TURNS = 8
#: How often the line is fitted anew, or corrected, and asked again.
ROUNDS = 4
#: Ways of growing whose networks are timed before the line is asked.
SCOUTS = ("depth only", "width only", "resolution only", "paper")


class Timings(Protocol):
    """Where timings are kept."""

    def read(self) -> list[dict[str, Any]]:
        """What was kept so far."""

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one more."""


class NoTimings:
    """Timings that are not kept: a plan writes nothing."""

    def read(self) -> list[dict[str, Any]]:
        """Nothing."""
        return []

    def append(self, record: Mapping[str, Any]) -> None:
        """Forget it."""


class Stopwatch:
    """Latencies of networks on one device, each timed once and remembered.

    The base is timed in turns with the others, so that what is remembered does not depend on how
    busy the machine was. What a line is fitted to is what was asked for, in this order, so a broken
    grid that finds its timings again goes on as the unbroken one would have.

    Args:
        base: what the others are held against.
        timings: where they are kept.
        asked: what networks are timed under; by default in eager torch on one thread.
    """

    def __init__(
        self,
        base: Network,
        timings: Timings,
        listener: Listener,
        asked: Conditions | None = None,
    ) -> None:
        self._base = base
        self._timings = timings
        self._listener = listener
        self._asked_for = (asked or Conditions(clock="cpu")).but(seconds=SECONDS)
        self._asked: dict[Network, float] = {}
        self._kept: dict[str, float] = {}
        for record in timings.read():
            try:
                self._kept[str(record["network"])] = float(record["milliseconds"])
            except (KeyError, TypeError, ValueError) as problem:
                raise RunConflict(
                    f"a record of the grid's timings is damaged ({problem!r}); choose another --run"
                ) from None

    @property
    def base_ms(self) -> float:
        """Milliseconds of the base."""
        return self._of([self._base])[0]

    def __call__(self, networks: Sequence[Network]) -> list[float]:
        """Milliseconds of each network, as if all had been timed when the base was."""
        return self._of([self._base, *networks])[1:]

    def _of(self, networks: Sequence[Network]) -> list[float]:
        new = [n for n in dict.fromkeys(networks) if network_digest(n) not in self._kept]
        for start in range(0, len(new), TURNS):
            self._time(new[start : start + TURNS])
        for network in networks:
            self._asked[network] = self._kept[network_digest(network)]
        return [self._asked[network] for network in networks]

    def _time(self, networks: Sequence[Network]) -> None:
        self._listener.notice(f"timing {several(len(networks), 'network')}")
        every = list(dict.fromkeys([self._base, *networks]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            found = [
                latency.steady_ms
                for latency in measure_latencies(
                    [n if isinstance(n, Architecture) else realise(n) for n in every],
                    settings=self._asked_for,
                    resolution=[network.resolution for network in every],
                )
            ]
        scale = self._kept.get(network_digest(self._base), found[0]) / found[0]
        for network, milliseconds in zip(every, found, strict=True):
            if network_digest(network) not in self._kept:
                self._kept[network_digest(network)] = milliseconds * scale
                self._timings.append(
                    {"network": network_digest(network), "milliseconds": milliseconds * scale}
                )

    def line(self) -> LatencyLine:
        """What the networks asked for so far tell of others."""
        return LatencyLine.fit(
            [cost_of(network) for network in self._asked], list(self._asked.values())
        )


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
