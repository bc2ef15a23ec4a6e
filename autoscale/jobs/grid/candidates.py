"""What a grid races: its candidates and their rivals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import cast

import numpy as np

from autoscale.design.amounts import several
from autoscale.design.measures.limits import Limit
from autoscale.design.rounding import PAPER, compound
from autoscale.design.style import Padding
from autoscale.devices.board import Board
from autoscale.devices.boards import load_board
from autoscale.jobs.costs import cost_from, limits_from
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.grid.stopwatch import Stopwatch, runtime_before
from autoscale.jobs.grid.timed import timed_grid, timed_rival
from autoscale.listener import Listener
from autoscale.racing.race import RaceSettings, next_training
from autoscale.racing.response_surface import Observation
from autoscale.scaling.budget import Budget, parse_budget
from autoscale.scaling.grid import (
    UNLIMITED,
    Candidate,
    Grid,
    Points,
    axis,
    cost_points,
    field,
    spread,
)
from autoscale.scaling.limited import Limited
from autoscale.scaling.nearness import FEWEST, WIDEST, answering, limits
from autoscale.scaling.rules import GROWING, RIVAL_TOLERANCE, SHRINKING, rival
from autoscale.scaling.scalable import Design, Network, Scalable, cost_of
from autoscale.scaling.solve import Dimension

#: Folders of a run: coefficients for growing, and for shrinking.
GROW, SHRINK = "grid", "shrink"

#: Candidates of a budget of latency, unless told otherwise.
TIMED_CANDIDATES = 16

#: Share of all seeds of all candidates that a race may use, rivals aside.
RACE_SHARE = 0.4


_NEARER = "nearer to the base"


def fewest_of(settings: GridSettings) -> int:
    """Distinct networks that the grid should hold: what a race needs, or is allowed."""
    return min(FEWEST, settings.max_candidates or FEWEST)


def counted_budget(settings: GridSettings, base: Scalable) -> Budget:
    """A counted budget in the base's terms.

    Raises:
        InvalidSetting: if it cannot be read.
    """
    measure = cost_from(settings.cost_measure)
    own = float(measure.count(cost_of(root_of(base))))
    return parse_budget(settings.budget_text, base=own, measure=measure)


def grid_around(
    base: Scalable,
    budget: Budget,
    settings: GridSettings,
    limited: Limited = UNLIMITED,
) -> Grid:
    """The grid around `base`, its costs told by the budget's measure.

    Args:
        limited: says which networks keep the limits.

    Raises:
        BudgetUnreachable: as `Points.grid`.
        InvalidSetting: for values that cannot be read.
    """
    plain = replace(settings, solve=False, move=None)
    return grid_points(base, budget, settings).grid(
        limited=limited,
        fewest=fewest_of(settings),
        unmoved=partial(grid_points, base, budget, plain) if settings.solve else None,
    )


def grid_points(base: Scalable, budget: Budget, settings: GridSettings) -> Points:
    """All points of the grid around `base`, whatever they cost.

    Raises:
        InvalidSetting: for values that cannot be read.
    """
    usual = ("1..2", "1..1.5", "1..1.5") if budget.ratio >= 1 else ("0.5..1",) * 3
    asked = (settings.alpha, settings.beta, settings.gamma)
    texts = [text or range_ for text, range_ in zip(asked, usual, strict=True)]
    alphas, betas, gammas = (axis(text, step=settings.step) for text in texts)
    return cost_points(
        base,
        budget,
        alphas=alphas,
        betas=betas,
        gammas=gammas,
        tolerance=settings.distance,
        solve=cast(tuple[Dimension, ...], settings.moved),  # which says what it cannot move
    )


@dataclass(frozen=True, kw_only=True)
class GridRace:
    """What is raced: the candidates of a grid and their rivals, each network once."""

    base: Scalable
    grid: Grid
    field: tuple[Candidate, ...]
    missing: tuple[str, ...]  # rules that do not come near the budget, and how near they come
    over: tuple[str, ...]  # rules whose network breaks a limit, and which
    rival_distance: float  # largest one of a rival to the budget
    limited: Limited  # which networks keep the limits, and what was left out
    settings: GridSettings

    @classmethod
    def of(
        cls,
        base: Scalable,
        settings: GridSettings,
        watch: Stopwatch | None = None,
        *,
        padding: Padding = "symmetric",
    ) -> "GridRace":
        """The race of a base.

        Args:
            watch: times networks, for a budget or a limit that is measured; see `is_timed`.
            padding: of the networks' convolutions with a stride.

        Raises:
            AutoscaleError: one of its kinds, if there is no such grid.
        """
        limited = Limited(_limits(settings, padding), watch)
        measure = cost_from(settings.cost_measure)
        if not measure.counted:
            assert watch is not None
            budget = parse_budget(settings.budget_text, base=watch.base_ms, measure=measure)
            return cls._timed(base, settings, budget, watch, limited)
        budget = counted_budget(settings, base)
        grid = grid_around(base, budget, settings, limited)
        chosen = grid.candidates
        if settings.max_candidates is not None:
            chosen = spread(grid.candidates, settings.max_candidates)
        find = partial(rival, base, budget)
        rules = _rules(settings, budget)
        rivals = _Rivals.of(rules, find, grid, near=RIVAL_TOLERANCE, limited=limited)
        return cls._with(base, settings, grid, chosen, rivals, limited)

    @classmethod
    def _timed(
        cls,
        base: Scalable,
        settings: GridSettings,
        budget: Budget,
        watch: Stopwatch,
        limited: Limited,
    ) -> "GridRace":
        grid = timed_grid(
            base,
            watch,
            budget,
            lambda predicted: grid_around(base, predicted, settings, limited),
            most=settings.max_candidates or TIMED_CANDIDATES,
            fewest=fewest_of(settings),
        )
        near = settings.distance  # a timing is not as sharp as a count
        find = partial(timed_rival, base, watch, budget, tolerance=near)
        rivals = _Rivals.of(_rules(settings, budget), find, grid, near=near, limited=limited)
        return cls._with(base, settings, grid, grid.candidates, rivals, limited)

    @classmethod
    def _with(
        cls,
        base: Scalable,
        settings: GridSettings,
        grid: Grid,
        chosen: Sequence[Candidate],
        rivals: "_Rivals",
        limited: Limited,
    ) -> "GridRace":
        return cls(
            base=base,
            grid=grid,
            field=field(chosen, rivals.raced),
            missing=rivals.missing,
            over=rivals.over,
            rival_distance=rivals.distance,
            limited=limited,
            settings=settings,
        )

    @property
    def step(self) -> str:
        """The name of the run's folder that holds it."""
        return GROW if self.grid.budget.ratio >= 1 else SHRINK

    @property
    def required(self) -> tuple[int, ...]:
        """Indices of the rivals, which get every seed."""
        return tuple(index for index, entry in enumerate(self.field) if entry.rules)

    @property
    def positions(self) -> np.ndarray:
        """Logarithms of what depth, width and resolution became, shape (candidates, 3)."""
        return np.log([entry.effective for entry in self.field])

    @property
    def all_trainings(self) -> int:
        """Every candidate with every seed."""
        return len(self.field) * self.settings.seeds

    @property
    def most_trainings(self) -> int:
        """What the race may use at most."""
        if not self.settings.race:
            return self.all_trainings
        if self.settings.trainings is not None:
            return min(self.settings.trainings, self.all_trainings)
        owed = len(self.required) * self.settings.seeds
        return owed + ceil(RACE_SHARE * (self.all_trainings - owed))

    @property
    def largest(self) -> int:
        """Pixels per side of the largest input."""
        return max(entry.network.resolution for entry in self.field)

    @property
    def num_classes(self) -> int:
        """That the networks tell apart."""
        return self.field[0].network.num_classes

    def next(
        self, observations: Sequence[Observation], running: Sequence[tuple[int, int]] = ()
    ) -> tuple[int, int] | None:
        """Which candidate to train next and with which seed, from 0; None if there is none now.

        Args:
            running: candidates and seeds at work.
        """
        if not self.settings.race:
            begun = len(observations) + len(running)
            count = len(self.field)
            return (begun % count, begun // count) if begun < self.all_trainings else None
        return next_training(
            self.positions,
            observations,
            RaceSettings(seeds=self.settings.seeds, budget=self.most_trainings),
            required=self.required,
            running=running,
        )


def is_timed(settings: GridSettings) -> bool:
    """Whether the budget or a limit is measured on a device."""
    limits = _limits(settings)
    measures = [cost_from(settings.cost_measure), *(limit.measure for limit in limits)]
    return not all(measure.counted for measure in measures)


def where_timed(run: Path, settings: GridSettings, dtype: str) -> GridSettings:
    """The settings, with the runtime named that latencies of networks of `dtype` are of.

    Raises:
        InvalidSetting: for a runtime that cannot time them, or if nothing is timed in one.
    """
    usual = runtime_before(run, _board(settings))
    return settings.timed_in_runtime(usual, dtype, timed=is_timed(settings))


def _limits(settings: GridSettings, padding: Padding = "symmetric") -> tuple[Limit, ...]:
    return limits_from(settings.max_cost, board=_board(settings), padding=padding)


def _board(settings: GridSettings) -> Board | None:
    return None if settings.board is None else load_board(settings.board)


def _rules(settings: GridSettings, budget: Budget) -> Sequence[str]:
    """The simpler ways of growing, or of shrinking, that are raced too."""
    if not settings.rivals:
        return ()
    return GROWING if budget.ratio >= 1 else SHRINKING


@dataclass(frozen=True, kw_only=True)
class _Rivals:
    """The networks of simpler ways of growing that cost what the candidates cost."""

    raced: Sequence[Candidate]
    missing: tuple[str, ...]  # rules that do not come near the budget, and how near they come
    over: tuple[str, ...]  # rules whose network breaks a limit, and which
    distance: float  # largest one of a rival to the budget

    @classmethod
    def of(
        cls,
        rules: Sequence[str],
        find: Callable[[str], Candidate],
        grid: Grid,
        *,
        near: float,
        limited: Limited,
    ) -> "_Rivals":
        """Those that `find` gives for the rules.

        Args:
            near: largest distance of a rival to the budget where all candidates keep the tolerance;
                of a grid that was widened, a rival may be as far as the farthest candidate.
        """
        budget, widened = grid.budget, grid.widened or 0.0
        raced, missing, over = [], [], []
        for rule in rules:
            candidate = find(rule)
            off = budget.distance(candidate.growth)
            if abs(off) <= near or (
                abs(off) <= widened and answering(np.array(candidate.growth), budget, WIDEST)
            ):
                limited([candidate.network])
                if limit := limited.broken(candidate.network):
                    over.append(f"{rule} (over {limit.exactly})")
                else:
                    raced.append(candidate)
            else:
                why = "" if abs(off) > max(near, widened) else f", {_NEARER}"
                missing.append(f"{rule} {candidate.growth:.4g}x ({off:+.1%}{why})")
        return cls(
            raced=raced, missing=tuple(missing), over=tuple(over), distance=max(near, widened)
        )


def root_of(base: Scalable) -> Network:
    return base.at(1.0, 1.0, base.resolution)


def explain(race: GridRace, listener: Listener) -> None:
    """Tell what the grid holds and what the paper's coefficients would really cost here."""
    grid = race.grid
    listener.notice(
        f"{several(grid.points, 'point')}, {grid.admitted} within {grid.tolerance:.3g} of "
        f"{grid.budget.ratio:.4g}x ({grid.budget.text}), "
        f"{several(grid.within, 'distinct network')}; {len(race.field)} in the race, "
        f"{len(race.required)} of them rivals; at most "
        f"{several(race.most_trainings, 'training')}, all would be {race.all_trainings}"
    )
    fewest = fewest_of(race.settings)
    if grid.widened is not None or len(grid.candidates) < fewest:
        listener.notice(f"warning: {_shortage(grid, fewest)}")
    if race.limited.left_out:
        listener.notice(race.limited.left_out)
    if race.over:
        listener.notice(f"warning: not raced, over a limit: {', '.join(race.over)}")
    if race.missing:
        listener.notice(
            f"warning: not raced, over {race.rival_distance:.1%} off the budget"
            + f" or {_NEARER} than to it" * any(_NEARER in why for why in race.missing)
            + f" at their nearest: {', '.join(race.missing)}"
        )
    if isinstance(race.base, Design):
        scaled = compound(race.base.base, PAPER, rounding=race.base.rounding)
        listener.notice(
            f"the paper's (1.2, 1.1, 1.15): nominal {PAPER.nominal:.3f}x, measured "
            f"{cost_of(scaled).macs / grid.base_cost.macs:.3f}x here in multiply-adds"
        )


def _shortage(grid: Grid, fewest: int) -> str:
    """What a grid says that has fewer networks within the tolerance than it should hold."""
    budget = grid.budget
    networks = f"{grid.within} network{'s' * (grid.within != 1)}" if grid.within else "no network"
    text = (
        f"{networks} within {grid.tolerance:.3g} of {budget.ratio:.4g}x, {fewest} "
        f"{'is' if fewest == 1 else 'are'} needed for a race"
    )
    others = [entry for entry in grid.candidates if not grid.keeps(entry)]
    if others:
        each = dict.fromkeys(f"{c.growth:.4g}x ({budget.distance(c.growth):+.1%})" for c in others)
        taken = f"are the {len(others)} nearest others" if others[1:] else "is the nearest other"
        text += f": taken {taken}, {', '.join(each)}"
    if len(grid.candidates) < fewest:
        low, high = limits(budget)
        text += (
            f"; nothing else is between {low:.4g}x and {high:.4g}x, so "
            + (
                f"the race is between {alike}"
                if (alike := len(grid.candidates)) > 1
                else "it is alone"
            )
            + "; widen the ranges for more"
        )
    return text


def label(entry: Candidate) -> str:
    """How people call a candidate."""
    point = entry.coefficients
    rules = f" [{', '.join(entry.rules)}]" if entry.rules else ""
    return (
        f"alpha {point.alpha:g}, beta {point.beta:g}, gamma {point.gamma:.4g} "
        f"({entry.growth:.2f}x){rules}"
    )
