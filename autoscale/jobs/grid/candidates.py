"""What a grid races: its settings, its candidates and their rivals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

import numpy as np

from autoscale.design.budget import several
from autoscale.design.rounding import PAPER, compound
from autoscale.errors import InvalidSetting
from autoscale.jobs.costs import cost_from
from autoscale.jobs.grid.timed import Stopwatch, timed_grid, timed_rival
from autoscale.listener import Listener
from autoscale.racing.race import RaceSettings, next_training
from autoscale.racing.response_surface import Observation
from autoscale.scaling.budget import Budget, parse_budget
from autoscale.scaling.grid import Candidate, Grid, Points, axis, cost_points, field, spread
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSettings:
    """Which networks a grid holds and how they are raced.

    Raises:
        InvalidSetting: for a value that makes no grid.
    """

    budget: str = "2x"  # a ratio to the base's cost, or a cost such as "800M"
    measure: str = "macs"  # of the budget: macs, params, activations, memory (bytes)
    alpha: str | None = None  # depth: a range with `step`, or values; 1..2, shrinking 0.5..1
    beta: str | None = None  # width; 1..1.5, shrinking 0.5..1
    gamma: str | None = None  # resolution; 1..1.5, shrinking 0.5..1
    step: float = 0.05
    solve: str = ""  # dimensions to move until a point meets the budget: "resolution,width"
    # The largest distance to the budget that is wished for; 0.05, solving 0.01. Where fewer
    # networks keep it than a race needs, the nearest others race too.
    tolerance: float | None = None
    max_candidates: int | None = None  # race at most so many, spread over the grid
    rivals: bool = True  # race the simpler ways of growing too
    seeds: int = 3  # trainings of one candidate at most
    trainings: int | None = None  # of all candidates at most; by default 40 % of all seeds
    race: bool = True  # else every candidate is trained with every seed

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InvalidSetting(f"seeds must be at least 1, got {self.seeds}")
        if self.trainings is not None and self.trainings < 1:
            raise InvalidSetting(f"trainings must be at least 1, got {self.trainings}")
        if self.trainings is not None and not self.race:
            raise InvalidSetting(
                "without a race every candidate is trained with every seed; leave --trainings out"
            )
        if self.max_candidates is not None and self.max_candidates < 1:
            raise InvalidSetting(
                f"the number of candidates must be at least 1, got {self.max_candidates}"
            )

    @property
    def moved(self) -> tuple[Dimension, ...]:
        """The dimensions that solving moves, in order."""
        names = [name.strip() for name in self.solve.split(",") if name.strip()]
        return tuple(dict.fromkeys(names))  # type: ignore[arg-type]

    @property
    def distance(self) -> float:
        """The largest distance to the budget that is wished for."""
        return self.tolerance if self.tolerance is not None else 0.01 if self.moved else 0.05

    @property
    def fewest(self) -> int:
        """Distinct networks that the grid should hold: what a race needs, or is allowed."""
        return min(FEWEST, self.max_candidates or FEWEST)

    def budget_of(self, base: Scalable) -> Budget:
        """A counted budget in the base's terms.

        Raises:
            InvalidSetting: if it cannot be read.
        """
        measure = cost_from(self.measure)
        own = float(measure.count(cost_of(root_of(base))))
        return parse_budget(self.budget, base=own, measure=measure)

    def grid(self, base: Scalable, budget: Budget) -> Grid:
        """The grid around `base`, its costs told by the budget's measure.

        Raises:
            BudgetUnreachable: as `Points.grid`.
            InvalidSetting: for values that cannot be read.
        """
        plain = partial(replace(self, solve="").grid_points, base, budget)
        return self.grid_points(base, budget).grid(
            fewest=self.fewest, unmoved=plain if self.moved else None
        )

    def grid_points(self, base: Scalable, budget: Budget) -> Points:
        """All points of the grid around `base`, whatever they cost.

        Raises:
            InvalidSetting: for values that cannot be read.
        """
        usual = ("1..2", "1..1.5", "1..1.5") if budget.ratio >= 1 else ("0.5..1",) * 3
        texts = [
            own or text
            for own, text in zip((self.alpha, self.beta, self.gamma), usual, strict=True)
        ]
        alphas, betas, gammas = (axis(text, step=self.step) for text in texts)
        return cost_points(
            base,
            budget,
            alphas=alphas,
            betas=betas,
            gammas=gammas,
            tolerance=self.distance,
            solve=self.moved,
        )


@dataclass(frozen=True, kw_only=True)
class GridRace:
    """What is raced: the candidates of a grid and their rivals, each network once."""

    base: Scalable
    grid: Grid
    field: tuple[Candidate, ...]
    missing: tuple[str, ...]  # rules that do not come near the budget, and how near they come
    rival_distance: float  # largest one of a rival to the budget
    settings: GridSettings

    @classmethod
    def of(
        cls, base: Scalable, settings: GridSettings, watch: Stopwatch | None = None
    ) -> "GridRace":
        """The race of a base.

        Args:
            watch: times networks, for a budget of latency.

        Raises:
            AutoscaleError: one of its kinds, if there is no such grid.
        """
        measure = cost_from(settings.measure)
        if not measure.counted:
            assert watch is not None
            budget = parse_budget(settings.budget, base=watch.base_ms, measure=measure)
            return cls._timed(base, settings, budget, watch)
        budget = settings.budget_of(base)
        grid = settings.grid(base, budget)
        chosen = grid.candidates
        if settings.max_candidates is not None:
            chosen = spread(grid.candidates, settings.max_candidates)
        find = partial(rival, base, budget)
        return cls._with_rivals(base, settings, grid, chosen, find, RIVAL_TOLERANCE)

    @classmethod
    def _timed(
        cls, base: Scalable, settings: GridSettings, budget: Budget, watch: Stopwatch
    ) -> "GridRace":
        grid = timed_grid(
            base,
            watch,
            budget,
            partial(settings.grid, base),
            most=settings.max_candidates or TIMED_CANDIDATES,
            fewest=settings.fewest,
        )
        near = settings.distance  # a timing is not as sharp as a count
        find = partial(timed_rival, base, watch, budget, tolerance=near)
        return cls._with_rivals(base, settings, grid, grid.candidates, find, near)

    @classmethod
    def _with_rivals(
        cls,
        base: Scalable,
        settings: GridSettings,
        grid: Grid,
        chosen: Sequence[Candidate],
        find: Callable[[str], Candidate],
        near: float,
    ) -> "GridRace":
        """With the rivals that cost what the candidates cost.

        Args:
            near: largest distance of a rival to the budget where all candidates keep the tolerance;
                of a grid that was widened, a rival may be as far as the farthest candidate.
        """
        budget, rivals, missing = grid.budget, [], []
        if settings.rivals:
            for rule in GROWING if budget.ratio >= 1 else SHRINKING:
                found = find(rule)
                off = budget.distance(found.growth)
                if abs(off) <= near or (
                    abs(off) <= (grid.widened or 0.0)
                    and answering(np.array(found.growth), budget, WIDEST)
                ):
                    rivals.append(found)
                else:
                    far = abs(off) > max(near, grid.widened or 0.0)
                    why = "" if far else f", {_NEARER}"
                    missing.append(f"{rule} {found.growth:.4g}x ({off:+.1%}{why})")
        return cls(
            base=base,
            grid=grid,
            field=field(chosen, rivals),
            missing=tuple(missing),
            rival_distance=max(near, grid.widened or 0.0),
            settings=settings,
        )

    @property
    def step(self) -> str:
        """The name of the run's folder that holds it."""
        return GROW if self.grid.budget.ratio >= 1 else SHRINK

    @property
    def required(self) -> tuple[int, ...]:
        """Places of the rivals, which get every seed."""
        return tuple(place for place, entry in enumerate(self.field) if entry.rules)

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


def root_of(base: Scalable) -> Network:
    return base.at(1.0, 1.0, base.resolution)


def explain(study: GridRace, listener: Listener) -> None:
    """Tell what the grid holds and what the paper's coefficients would really cost here."""
    grid = study.grid
    listener.notice(
        f"{several(grid.points, 'point')}, {grid.admitted} within {grid.tolerance:.3g} of "
        f"{grid.budget.ratio:.4g}x ({grid.budget.text}), "
        f"{several(grid.within, 'distinct network')}; {len(study.field)} in the race, "
        f"{len(study.required)} of them rivals; at most "
        f"{several(study.most_trainings, 'training')}, all would be {study.all_trainings}"
    )
    if grid.widened is not None or len(grid.candidates) < study.settings.fewest:
        listener.notice(f"warning: {_shortage(grid, study.settings.fewest)}")
    if study.missing:
        listener.notice(
            f"warning: not raced, over {study.rival_distance:.1%} off the budget"
            + f" or {_NEARER} than to it" * any(_NEARER in why for why in study.missing)
            + f" at their nearest: {', '.join(study.missing)}"
        )
    if isinstance(study.base, Design):
        scaled = compound(study.base.base, PAPER, rounding=study.base.rounding)
        listener.notice(
            f"the paper's (1.2, 1.1, 1.15): nominal {PAPER.nominal:.3f}x, measured "
            f"{cost_of(scaled).macs / grid.base_cost.macs:.3f}x here"
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
