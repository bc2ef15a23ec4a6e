"""Find how depth, width and resolution should grow together: the grid, trained and ranked."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.design.architecture import Architecture
from autoscale.design.budget import format_count, parse_budget
from autoscale.design.cost import cost
from autoscale.design.grid import Candidate, Grid, axis, build_grid, spread
from autoscale.design.scaling import PAPER, Coefficients, compound, rounding_policy
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.runs.records import Outcome
from autoscale.runs.store import Journal, Step, read_json, write_json, write_text
from autoscale.search.objective import Score
from autoscale.workflows.baseline import load_baseline, load_images, load_task
from autoscale.workflows.evaluate import Trainer
from autoscale.workflows.progress import Listener, Silent
from autoscale.workflows.trainings import Job, train_all

STEP = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A candidate and its scores, one for each seed; none where training failed."""

    candidate: Candidate
    scores: tuple[Score, ...]

    @property
    def accuracy(self) -> float:
        """Mean over seeds."""
        return statistics.mean(score.accuracy for score in self.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridResult:
    """The candidates, best first, and what was picked."""

    grid: Grid
    ranked: tuple[Ranked, ...]
    seeds: int

    @property
    def best(self) -> Ranked:
        """The candidate with the highest mean accuracy."""
        return self.ranked[0]

    @property
    def coefficients(self) -> Coefficients:
        """Of the best candidate."""
        return self.best.candidate.coefficients

    @property
    def seed_noise(self) -> float | None:
        """Standard deviation of accuracy over seeds, pooled over candidates; None with one seed."""
        several = [r for r in self.ranked if len(r.scores) > 1]
        if not several:
            return None
        variances = [statistics.variance([s.accuracy for s in r.scores]) for r in several]
        return sqrt(statistics.mean(variances))

    @property
    def tied(self) -> tuple[Ranked, ...]:
        """Other candidates whose mean lies within two standard errors of the best's."""
        noise = self.seed_noise
        if noise is None:
            return self.ranked[1:]
        return tuple(
            other
            for other in self.ranked[1:]
            if self.best.accuracy - other.accuracy
            <= 2 * noise * sqrt(1 / len(self.best.scores) + 1 / len(other.scores))
        )

    @property
    def verdict(self) -> str:
        """How sure the choice is."""
        if len(self.ranked) == 1:
            return "the only candidate within the budget"
        if self.seed_noise is None:
            return (
                "one seed for each candidate: the data cannot tell neighbours apart; try --seeds 3"
            )
        noise = f"seed noise {self.seed_noise:.4f}"
        if not self.tied:
            return f"clearly best of {len(self.ranked)} ({noise})"
        if len(self.tied) == len(self.ranked) - 1:
            return f"the data cannot tell the {len(self.ranked)} candidates apart ({noise})"
        return f"best, tied with {len(self.tied)} of {len(self.ranked) - 1} others ({noise})"

    @property
    def table(self) -> pd.DataFrame:
        """One row for each candidate, best first; see `candidate_table`."""
        return candidate_table(self.grid, self.ranked)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSettings:
    """Which points a grid holds and how they are trained.

    Raises:
        InvalidSetting: for fewer than one seed or candidate.
    """

    flops_budget: str = "2x"  # a ratio to the base, or multiply-adds such as "800M"
    alpha: str = "1..2"  # depth: a range with `step`, or values such as "1,1.2"
    beta: str = "1..1.5"  # width
    gamma: str = "1..1.5"  # resolution
    step: float = 0.05
    tolerance: float = 0.05  # largest relative distance of multiply-adds to the budget
    rounding: str = "tf"
    seeds: int = 1  # trainings of each candidate
    max_candidates: int | None = None  # train at most so many, spread over the grid

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InvalidSetting(f"seeds must be at least 1, got {self.seeds}")

    def grid(self, base: Architecture) -> Grid:
        """Count the grid around `base`.

        Raises:
            BudgetUnreachable: if no point is within the tolerance; the nearest is named.
            InvalidSetting: for values that cannot be read.
        """
        return build_grid(
            base,
            parse_budget(self.flops_budget, base_macs=cost(base).macs),
            alphas=axis(self.alpha, step=self.step),
            betas=axis(self.beta, step=self.step),
            gammas=axis(self.gamma, step=self.step),
            tolerance=self.tolerance,
            rounding=rounding_policy(self.rounding),
        )

    def chosen(self, grid: Grid) -> tuple[Candidate, ...]:
        """The candidates that are trained."""
        if self.max_candidates is None:
            return grid.candidates
        return spread(grid.candidates, self.max_candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a grid would train and how long that would take."""

    table: pd.DataFrame  # as `candidate_table`
    trainings: int
    seconds: float


def plan_grid(
    run: str | Path,
    settings: GridSettings | None = None,
    *,
    data: str | None = None,
    device: str = "cpu",
    threads: int = 1,
    listener: Listener | None = None,
) -> Plan:
    """Candidates and time of `grid_search` with the same arguments; nothing is trained.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    settings, listener = settings or GridSettings(), listener or Silent()
    task = load_task(run, data=data)
    grid = settings.grid(load_baseline(run).trial.architecture)
    chosen = settings.chosen(grid)
    explain(grid, chosen, settings.rounding, listener)
    images = load_images(run, task, size=_largest(chosen), test=False, listener=listener)
    trainer = Trainer(images=images, recipe=task.recipe, device=device, threads=threads)
    return Plan(
        table=candidate_table(grid, chosen),
        trainings=settings.seeds * len(chosen),
        seconds=settings.seeds * trainer.estimate_seconds([c.architecture for c in chosen]),
    )


def grid_search(
    run: str | Path,
    settings: GridSettings | None = None,
    *,
    data: str | None = None,
    device: str = "cpu",
    threads: int = 1,
    listener: Listener | None = None,
) -> GridResult:
    """Train the candidates of the grid around the run's baseline and rank them.

    The same call continues a broken grid. Every candidate is trained with the same seeds.

    Args:
        data: where the images lie now, if they were moved.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    settings, listener = settings or GridSettings(), listener or Silent()
    base = load_baseline(run).trial.architecture
    task = load_task(run, data=data)
    grid = settings.grid(base)
    chosen = settings.chosen(grid)
    jobs = [_job(candidate, task.seed + n) for n in range(settings.seeds) for candidate in chosen]
    folder = Step(Path(run), STEP)
    journal = Journal(folder.file("trainings.jsonl"))
    with folder.locked():
        images = load_images(run, task, size=_largest(chosen), test=False, listener=listener)
        _require_same_baseline(folder, base)
        folder.begin(
            {
                "baseline": base.to_dict(),
                **asdict(settings),
                "flops_budget": grid.budget.macs,
                "task": task.settings(),
                "images": images.fingerprint,
            },
            notes={"data": task.place, "device": device},
            journal=journal,
        )
        explain(grid, chosen, settings.rounding, listener)
        outcomes = train_all(
            jobs,
            Trainer(images=images, recipe=task.recipe, device=device, threads=threads),
            journal,
            listener,
            leader=lambda done: _leader(chosen, done),
        )
        found = GridResult(grid=grid, ranked=_rank(chosen, outcomes), seeds=settings.seeds)
        write_text(folder.file("grid.csv"), found.table.to_csv(index=False))
        write_json(
            folder.file("coefficients.json"),
            {
                **asdict(found.coefficients),
                "nominal": found.coefficients.nominal,
                "measured": found.best.candidate.growth,
                "flops_budget": grid.budget.ratio,
                "rounding": settings.rounding,
                "accuracy": found.best.accuracy,
                "seed_noise": found.seed_noise,
                "verdict": found.verdict,
            },
        )
    return found


def load_coefficients(run: str | Path, base: Architecture) -> tuple[Coefficients, str]:
    """The coefficients that a run's grid picked around `base`, and its rounding policy's name.

    Raises:
        InvalidSetting: if the run holds no finished grid.
        RunConflict: if the grid was around another baseline, or its file is not readable.
    """
    folder = Step(Path(run), STEP)
    found = read_json(folder.file("coefficients.json"))
    if found is None:
        raise InvalidSetting(
            f"{run} holds no finished grid; run: autoscale grid --run {run} --flops-budget 2x"
        )
    _require_same_baseline(folder, base)
    try:
        point = Coefficients(alpha=found["alpha"], beta=found["beta"], gamma=found["gamma"])
        return point, rounding_policy(found["rounding"]).name
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(
            f"{folder.file('coefficients.json')} is damaged ({problem!r}); repeat the grid"
        ) from None


def _require_same_baseline(folder: Step, base: Architecture) -> None:
    earlier = folder.read()
    if earlier is not None and earlier["settings"].get("baseline") != base.to_dict():
        raise RunConflict(
            f"the grid in {folder.run} is around another baseline than the search has now, since a "
            "longer search chose anew; repeat search and grid in another --run"
        )


def _largest(chosen: Sequence[Candidate]) -> int:
    return max(candidate.architecture.resolution for candidate in chosen)


def candidate_table(grid: Grid, ranked: Sequence[Ranked | Candidate]) -> pd.DataFrame:
    """One row for each candidate.

    Columns: alpha, beta, gamma; nominal (alpha * beta**2 * gamma**2) and measured (multiply-adds /
    the base's); depth (blocks), width (channels of the last stage), resolution (pixels); macs,
    params; points (grid points that round to this network); with scores also accuracy (mean over
    seeds), accuracy_sd and seeds.
    """
    rows: list[dict[str, Any]] = []
    for entry in ranked:
        candidate = entry.candidate if isinstance(entry, Ranked) else entry
        point = candidate.coefficients
        row: dict[str, Any] = {
            **asdict(point),
            "nominal": round(point.nominal, 4),
            "measured": round(candidate.growth, 4),
            "depth": candidate.architecture.depth,
            "width": candidate.architecture.stages[-1].width,
            "resolution": candidate.architecture.resolution,
            "macs": candidate.cost.macs,
            "params": candidate.cost.params,
            "points": len(candidate.points),
        }
        if isinstance(entry, Ranked):
            accuracies = [score.accuracy for score in entry.scores]
            row["accuracy"] = statistics.mean(accuracies) if accuracies else None
            row["accuracy_sd"] = statistics.stdev(accuracies) if len(accuracies) > 1 else None
            row["seeds"] = len(accuracies)
        rows.append(row)
    return pd.DataFrame(rows)


def explain(grid: Grid, chosen: Sequence[Candidate], rounding: str, listener: Listener) -> None:
    """Tell what the grid holds and what the paper's coefficients would really cost here."""
    listener.notice(
        f"{grid.points:,} points, {grid.admitted} within {grid.tolerance:.0%} of "
        f"{grid.budget.ratio:.4g}x ({format_count(grid.budget.macs)} multiply-adds), "
        f"{len(grid.candidates)} distinct networks, {len(chosen)} to train"
    )
    scaled = compound(grid.base, PAPER, rounding=rounding_policy(rounding))
    listener.notice(
        f"the paper's (1.2, 1.1, 1.15): nominal {PAPER.nominal:.3f}x, measured "
        f"{cost(scaled).macs / grid.base_cost.macs:.3f}x here"
    )


def _job(candidate: Candidate, seed: int) -> Job:
    point = candidate.coefficients
    return Job(
        architecture=candidate.architecture,
        seed=seed,
        name=f"alpha {point.alpha:g}, beta {point.beta:g}, gamma {point.gamma:g} "
        f"({candidate.growth:.2f}x), seed {seed}",
    )


def _rank(chosen: Sequence[Candidate], outcomes: Sequence[Outcome]) -> tuple[Ranked, ...]:
    """Candidates with at least one score, best mean first; outcomes go round the candidates."""
    ranked = []
    for position, candidate in enumerate(chosen):
        scores = tuple(o.score for o in outcomes[position :: len(chosen)] if o.score)
        if scores:
            ranked.append(Ranked(candidate=candidate, scores=scores))
    return tuple(sorted(ranked, key=lambda entry: -entry.accuracy))


def _leader(chosen: Sequence[Candidate], outcomes: Sequence[Outcome]) -> str:
    ranked = _rank(chosen, outcomes)
    if not ranked:
        return "none yet"
    point = ranked[0].candidate.coefficients
    return f"({point.alpha:g}, {point.beta:g}, {point.gamma:g}) {ranked[0].accuracy:.3f}"
