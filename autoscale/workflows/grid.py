"""Find how depth, width and resolution should grow together: the grid, raced and judged."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd

from autoscale.design.budget import LATENCY, MEANINGS, MEASURES, Budget, parse_budget
from autoscale.design.cost import Cost
from autoscale.design.family import Growths
from autoscale.design.grid import Candidate, Grid, axis, build_grid, field, spread
from autoscale.design.numbers import Number
from autoscale.design.rules import GROWING, RIVAL_TOLERANCE, SHRINKING, rival
from autoscale.design.scalable import Design, Network, Scalable, cost_of
from autoscale.design.scaling import PAPER, Coefficients, compound, rounding_policy
from autoscale.design.solve import Dimension
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.runs.records import Outcome, network_digest
from autoscale.runs.store import Journal, Step, read_json, write_json, write_text
from autoscale.search.race import RaceSettings, next_training
from autoscale.search.surface import Observation
from autoscale.workflows.base import (
    BaseSettings,
    ImageSettings,
    class_count,
    describe,
    images_of,
    scalable_from,
)
from autoscale.workflows.evaluate import Trainer
from autoscale.workflows.progress import Listener, Silent
from autoscale.workflows.ranking import GridResult, candidate_table
from autoscale.workflows.timed_grid import Forgotten, Stopwatch, timed_grid, timed_rival
from autoscale.workflows.trainings import Job, train_while

#: Folders of a run: coefficients for growing, and for shrinking.
GROW, SHRINK = "grid", "shrink"

#: Folder of a run: latencies on this device.
TIMINGS = "latency"

#: Candidates of a budget of latency, unless told otherwise.
TIMED_CANDIDATES = 16

#: Settings that may change in a run directory: trainings made before serve again.
EXTENDS = ("budget", "max_candidates", "rivals", "seeds", "trainings", "race")

#: Share of all seeds of all candidates that a race may use, rivals aside.
RACE_SHARE = 0.4


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
    tolerance: float | None = None  # largest distance to the budget; 0.05, solving 0.01
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
        """The largest distance to the budget."""
        return self.tolerance if self.tolerance is not None else 0.01 if self.moved else 0.05

    def budget_of(self, base: Scalable) -> Budget:
        """A counted budget in the base's terms.

        Raises:
            InvalidSetting: if it cannot be read.
        """
        if self.measure not in MEASURES:
            raise InvalidSetting(f"no measure {self.measure!r}; choose from {', '.join(MEANINGS)}")
        own = MEASURES[self.measure](cost_of(_root(base)))
        return parse_budget(self.budget, base=float(own), measure=self.measure)

    def grid(
        self, base: Scalable, budget: Budget, value: Callable[[Cost], Number] | None = None
    ) -> Grid:
        """The grid around `base`, its costs counted, or foretold by `value`.

        Raises:
            BudgetUnreachable: if no point is within the tolerance; the nearest is named.
            InvalidSetting: for values that cannot be read.
        """
        usual = ("1..2", "1..1.5", "1..1.5") if budget.ratio >= 1 else ("0.5..1",) * 3
        texts = [
            own or text
            for own, text in zip((self.alpha, self.beta, self.gamma), usual, strict=True)
        ]
        alphas, betas, gammas = (axis(text, step=self.step) for text in texts)
        return build_grid(
            base,
            budget,
            alphas=alphas,
            betas=betas,
            gammas=gammas,
            tolerance=self.distance,
            solve=self.moved,
            value=value,
        )


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is raced: the candidates of a grid and their rivals, each network once."""

    base: Scalable
    grid: Grid
    field: tuple[Candidate, ...]
    missing: tuple[str, ...]  # rules that do not come near the budget, with the reason
    settings: GridSettings

    @classmethod
    def of(cls, base: Scalable, settings: GridSettings, watch: Stopwatch | None = None) -> "Study":
        """The study of a base.

        Args:
            watch: times networks, for a budget of latency.

        Raises:
            AutoscaleError: one of its kinds, if there is no such grid.
        """
        if settings.measure == LATENCY:
            assert watch is not None
            return cls._timed(base, settings, watch)
        budget = settings.budget_of(base)
        grid = settings.grid(base, budget)
        chosen = grid.candidates
        if settings.max_candidates is not None:
            chosen = spread(grid.candidates, settings.max_candidates)
        find = partial(rival, base, budget)
        return cls._with_rivals(base, settings, grid, chosen, find, RIVAL_TOLERANCE)

    @classmethod
    def _timed(cls, base: Scalable, settings: GridSettings, watch: Stopwatch) -> "Study":
        budget = parse_budget(settings.budget, base=watch.base_ms, measure=LATENCY)
        grid = timed_grid(
            base,
            watch,
            budget,
            lambda line: settings.grid(base, budget, line),
            most=settings.max_candidates or TIMED_CANDIDATES,
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
    ) -> "Study":
        rivals, missing = [], []
        if settings.rivals:
            for rule in GROWING if grid.budget.ratio >= 1 else SHRINKING:
                found = find(rule)
                if abs(found.growth / grid.budget.ratio - 1) <= near:
                    rivals.append(found)
                else:
                    missing.append(f"{rule}: the nearest is {found.growth:.3f}x")
        return cls(
            base=base,
            grid=grid,
            field=field(chosen, rivals),
            missing=tuple(missing),
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

    def next(self, observations: Sequence[Observation]) -> tuple[int, int] | None:
        """Which candidate to train next and with which seed, from 0; None if all is done."""
        if not self.settings.race:
            done = len(observations)
            count = len(self.field)
            return (done % count, done // count) if done < self.all_trainings else None
        return next_training(
            self.positions,
            observations,
            RaceSettings(seeds=self.settings.seeds, budget=self.most_trainings),
            required=self.required,
        )


class _Course:
    """Asks a study what comes next, and remembers what it asked for."""

    def __init__(self, study: Study, seed: int) -> None:
        self._study = study
        self._seed = seed
        self._asked: list[tuple[int, int]] = []

    def observations(self, outcomes: Sequence[Outcome]) -> list[Observation]:
        """What came of the first trainings."""
        return [
            Observation(candidate, seed, outcome.score.accuracy if outcome.score else None)
            for (candidate, seed), outcome in zip(self._asked, outcomes, strict=False)
        ]

    def propose(self, outcomes: Sequence[Outcome]) -> Job | None:
        """The training after `outcomes`, as `train_while` asks for it."""
        del self._asked[len(outcomes) :]
        asked = self._study.next(self.observations(outcomes))
        if asked is None:
            return None
        self._asked.append(asked)
        candidate, seed = self._study.field[asked[0]], self._seed + asked[1]
        return Job(
            network=candidate.network,
            seed=seed,
            name=f"{label(candidate)}, seed {seed}",
            key=f"{network_digest(candidate.network)}/{seed}",
        )

    def leader(self, outcomes: Sequence[Outcome]) -> str:
        """The best mean so far, one line."""
        scores: dict[int, list[float]] = {}
        for entry in self.observations(outcomes):
            if entry.score is not None:
                scores.setdefault(entry.candidate, []).append(entry.score)
        if not scores:
            return "none yet"
        means = {place: sum(own) / len(own) for place, own in scores.items()}
        best = max(means, key=lambda place: means[place])
        point = self._study.field[best].coefficients
        return f"({point.alpha:g}, {point.beta:g}, {point.gamma:.3g}) {means[best]:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a grid would train, how long that would take, and what it could tell."""

    table: pd.DataFrame  # as `candidate_table`
    trainings: int  # at most
    all_trainings: int  # without a race
    seconds: float | None  # None where no images are named
    precision: pd.DataFrame  # as `precision_table`
    rounding: pd.DataFrame | None  # as `rounding_table`; None for a user's model


def plan_grid(
    run: str | Path,
    settings: GridSettings | None = None,
    *,
    base: BaseSettings | None = None,
    images: ImageSettings | None = None,
    device: str = "cpu",
    threads: int = 1,
    listener: Listener | None = None,
) -> Plan:
    """Candidates, time and precision of `grid_search` with the same arguments; nothing is trained.

    Without images a named base is counted with its own number of classes, and time is not known.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    settings, listener = settings or GridSettings(), listener or Silent()
    base, images, run = base or BaseSettings(), images or ImageSettings(), Path(run)
    task = images.task(run, base)
    scalable = base.scalable(run, num_classes=class_count(base, task))
    watch = Stopwatch(_root(scalable), Forgotten(), listener, device=device, threads=threads)
    study = Study.of(scalable, settings, watch)
    explain(study, listener)
    each = None
    if task is not None:
        loaded = images_of(run, base, task, size=study.largest, listener=listener)
        trainer = Trainer(images=loaded, recipe=task.recipe, device=device, threads=threads)
        each = trainer.estimate_seconds([c.network for c in study.field]) / len(study.field)
    return Plan(
        table=candidate_table(study.field),
        trainings=study.most_trainings,
        all_trainings=study.all_trainings,
        seconds=None if each is None else each * study.most_trainings,
        precision=precision_table(study, each),
        rounding=rounding_table(scalable, settings)
        if isinstance(scalable, Design) and settings.measure != LATENCY
        else None,
    )


def grid_search(
    run: str | Path,
    settings: GridSettings | None = None,
    *,
    base: BaseSettings | None = None,
    images: ImageSettings | None = None,
    device: str = "cpu",
    threads: int = 1,
    listener: Listener | None = None,
) -> GridResult:
    """Race the candidates of the grid around a base, and judge.

    The same call continues a broken grid; more seeds, trainings or candidates prolong a finished
    one, whose trainings serve again. Candidates are compared by seeds that they share: the
    same initial seed, order of images and augmentation.

    Args:
        base: what is scaled; by default the baseline of the run's search.
        images: of a named base; else only where the search's images lie now.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    settings, listener = settings or GridSettings(), listener or Silent()
    base, images, run = base or BaseSettings(), images or ImageSettings(), Path(run)
    task = images.task(run, base)
    if task is None:
        raise InvalidSetting(
            f"no images to train {base.baseline or base.model} on; name them with --data, or see "
            "the candidates with --plan"
        )
    scalable = base.scalable(run, num_classes=class_count(base, task))
    study = _study(run, scalable, settings, listener, device=device, threads=threads)
    folder = Step(run, study.step)
    journal = Journal(folder.file("trainings.jsonl"))
    with folder.locked():
        loaded = images_of(run, base, task, size=study.largest, listener=listener)
        _require_same_base(folder, scalable, named=base.named)
        folder.begin(
            {
                "base": describe(scalable),
                **{name: value for name, value in asdict(settings).items() if name not in EXTENDS},
                "budget": study.grid.budget.limit,
                "task": task.settings(),
                "images": loaded.fingerprint,
            },
            notes={
                "data": task.place,
                "device": device,
                **{name: value for name, value in asdict(settings).items() if name in EXTENDS},
            },
            journal=journal,
        )
        explain(study, listener)
        course = _Course(study, task.seed)
        trainer = Trainer(images=loaded, recipe=task.recipe, device=device, threads=threads)
        outcomes = train_while(
            course.propose,
            trainer,
            journal,
            listener,
            most=study.most_trainings,
            leader=course.leader,
        )
        found = GridResult.of(study.grid, study.field, course.observations(outcomes))
        _write(folder, scalable, found, study)
    return found


def _study(
    run: Path,
    base: Scalable,
    settings: GridSettings,
    listener: Listener,
    *,
    device: str,
    threads: int,
) -> Study:
    """The study of a base, with the timings that a budget of latency needs kept in the run."""
    if settings.measure != LATENCY:
        return Study.of(base, settings)
    folder = Step(run, TIMINGS)
    timings = Journal(folder.file("timings.jsonl"))
    with folder.locked():
        folder.begin(
            {"base": describe(base), "device": device, "threads": threads, "batch": 1},
            notes={},
            journal=timings,
        )
        watch = Stopwatch(_root(base), timings, listener, device=device, threads=threads)
        return Study.of(base, settings, watch)


def _root(base: Scalable) -> Network:
    return base.at(1.0, 1.0, base.resolution)


def _write(folder: Step, base: Scalable, found: GridResult, study: Study) -> None:
    write_text(folder.file("grid.csv"), found.table.to_csv(index=False))
    write_text(folder.file("rivals.csv"), found.rival_table.to_csv(index=False))
    best = found.best
    write_json(
        folder.file("coefficients.json"),
        {
            **asdict(growing(best.coefficients, study.grid.budget.ratio)),
            "phi": 1 if study.step == GROW else -1,
            "nominal": best.coefficients.nominal,
            "measured": best.measured,
            "effective": best.effective._asdict(),
            "budget": asdict(study.grid.budget),
            "rounding": base.rounding.name if isinstance(base, Design) else None,
            "accuracy": found.accuracy(found.place),
            "seed_noise": found.seed_noise,
            "trainings": len(found.observations),
            "verdict": found.sentence,
        },
    )


def growing(point: Coefficients, ratio: float) -> Coefficients:
    """Coefficients of one step of phi: a network smaller than the base lies at phi = -1."""
    if ratio >= 1:
        return point
    return Coefficients(alpha=1 / point.alpha, beta=1 / point.beta, gamma=1 / point.gamma)


def load_grid(run: str | Path) -> tuple[Scalable, Growths]:
    """The base of a run's grids and the coefficients picked, for growing and for shrinking.

    With a grid below 1x alone its coefficients serve for both.

    Raises:
        InvalidSetting: if the run holds no finished grid.
        RunConflict: if a grid was around another baseline than the run's search has now, the two
            grids are around different bases, or a file is not readable.
    """
    run = Path(run)
    bases: list[Scalable] = []
    picked: list[Coefficients | None] = []
    for name in (GROW, SHRINK):
        folder = Step(run, name)
        found = read_json(folder.file("coefficients.json"))
        if found is None:
            picked.append(None)
            continue
        settings = (folder.read() or {"settings": {}})["settings"]
        bases.append(scalable_from(settings.get("base", {})))
        _require_search_agrees(folder, bases[-1])
        try:
            picked.append(
                Coefficients(alpha=found["alpha"], beta=found["beta"], gamma=found["gamma"])
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise RunConflict(
                f"{folder.file('coefficients.json')} is damaged ({problem!r}); repeat the grid"
            ) from None
    if not bases:
        raise InvalidSetting(
            f"{run} holds no finished grid; run: autoscale grid --run {run} --flops-budget 2x"
        )
    if describe(bases[0]) != describe(bases[-1]):
        raise RunConflict(
            f"the grids in {run} are around different bases; repeat one in another --run"
        )
    up, down = picked
    first = up or down
    assert first is not None
    return bases[0], Growths(first, down)


def _require_same_base(folder: Step, base: Scalable, *, named: bool) -> None:
    earlier = folder.read()
    if earlier is None or earlier["settings"].get("base") in (None, describe(base)):
        return
    if not named:
        raise RunConflict(_OTHER_BASELINE.format(folder.run))
    if Journal(folder.file("trainings.jsonl")).read():
        raise RunConflict(
            f"the grid in {folder.path} is around another base; repeat it in another --run"
        )


_OTHER_BASELINE = (
    "the grid in {} is around another baseline than the search has now, since a longer search "
    "chose anew; repeat search and grid in another --run"
)


def _require_search_agrees(folder: Step, base: Scalable) -> None:
    from autoscale.workflows.baseline import STEP, load_baseline

    if Step(folder.run, STEP).read() is None or not isinstance(base, Design):
        return
    if load_baseline(folder.run).trial.architecture != base.base:
        raise RunConflict(_OTHER_BASELINE.format(folder.run))


def explain(study: Study, listener: Listener) -> None:
    """Tell what the grid holds and what the paper's coefficients would really cost here."""
    grid = study.grid
    listener.notice(
        f"{grid.points:,} points, {grid.admitted} within {grid.tolerance:.3g} of "
        f"{grid.budget.ratio:.4g}x ({grid.budget.text}), "
        f"{len(grid.candidates)} distinct networks; {len(study.field)} in the race, "
        f"{len(study.required)} of them rivals; at most {study.most_trainings} trainings, all "
        f"would be {study.all_trainings}"
    )
    for line in study.missing:
        listener.notice(f"warning: no rival at this budget for {line}")
    if isinstance(study.base, Design):
        scaled = compound(study.base.base, PAPER, rounding=study.base.rounding)
        listener.notice(
            f"the paper's (1.2, 1.1, 1.15): nominal {PAPER.nominal:.3f}x, measured "
            f"{cost_of(scaled).macs / grid.base_cost.macs:.3f}x here"
        )


def label(entry: Candidate) -> str:
    """How people call a candidate."""
    point = entry.coefficients
    rules = f" [{', '.join(entry.rules)}]" if entry.rules else ""
    return (
        f"alpha {point.alpha:g}, beta {point.beta:g}, gamma {point.gamma:.4g} "
        f"({entry.growth:.2f}x){rules}"
    )


def precision_table(study: Study, seconds: float | None) -> pd.DataFrame:
    """What a smaller or larger budget of trainings would lose or buy.

    Columns: seeds; trainings (at most); minutes (missing where time is not known);
    distinguishable: the difference, in standard deviations of one training, at which two candidates
    with so many shared seeds each are told apart with 90 % confidence (normal distribution).
    """
    rows = []
    for seeds in range(1, max(5, study.settings.seeds) + 1):
        other = replace(study, settings=replace(study.settings, seeds=seeds, trainings=None))
        rows.append(
            {
                "seeds": seeds,
                "trainings": other.most_trainings,
                "minutes": None if seconds is None else seconds * other.most_trainings / 60,
                "distinguishable": 1.645 * (2 / seeds) ** 0.5,
            }
        )
    return pd.DataFrame(rows)


def rounding_table(base: Design, settings: GridSettings) -> pd.DataFrame:
    """What other rounding policies would do to the same grid.

    Columns: rounding; points (within the tolerance by count); networks (distinct ones); nominal
    (points whose alpha * beta**2 * gamma**2 is within the tolerance); kept (those of them that the
    count confirms); median_growth (their measured median); paper (measured growth of the paper's
    coefficients).
    """
    rows = []
    others = ("tf", "nearest", "tf,fixed-ends", "nearest,divisor=4")
    plain = replace(settings, solve="")
    for name in dict.fromkeys((base.rounding.name, *others)):
        other = Design(base.base, rounding_policy(name))
        budget = plain.budget_of(other)
        wide = replace(plain, tolerance=0.99)
        every = wide.grid(other, budget)
        growths = {point: entry.growth for entry in every.candidates for point in entry.points}
        near = {p: g for p, g in growths.items() if abs(g / budget.ratio - 1) <= plain.distance}
        networks = [
            entry
            for entry in every.candidates
            if abs(entry.growth / budget.ratio - 1) <= plain.distance
        ]
        nominal = [p for p in growths if abs(p.nominal / budget.ratio - 1) <= plain.distance]
        paper = compound(base.base, PAPER, rounding=other.rounding)
        rows.append(
            {
                "rounding": name,
                "points": len(near),
                "networks": len(networks),
                "nominal": len(nominal),
                "kept": sum(point in near for point in nominal),
                "median_growth": float(np.median([growths[p] for p in nominal]))
                if nominal
                else None,
                "paper": cost_of(paper).macs / cost_of(base.base).macs,
            }
        )
    return pd.DataFrame(rows)
