"""Find how depth, width and resolution should grow together: the grid, raced and judged."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from autoscale.design.rounding import Coefficients
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.costs import cost_from
from autoscale.jobs.grid.candidates import (
    GROW,
    SHRINK,
    GridRace,
    GridSettings,
    explain,
    label,
    root_of,
)
from autoscale.jobs.grid.result import GridResult
from autoscale.jobs.grid.scaling_base import (
    ImageSettings,
    ScalingBase,
    class_count,
    describe,
    images_of,
    scalable_from,
)
from autoscale.jobs.grid.timed import Stopwatch
from autoscale.jobs.workers.pool import WorkerSettings, worker_pool
from autoscale.jobs.workers.queue import Job, train_while
from autoscale.listener import Listener, Silent
from autoscale.racing.response_surface import Observation
from autoscale.runs.records import Outcome, network_digest, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.scaling.family import Growths
from autoscale.scaling.scalable import Design, Scalable
from autoscale.training.chance import chance_warning

#: Folder of a run: latencies on this device.
TIMINGS = "latency"

#: Settings that may change in a run directory: trainings made before serve again.
EXTENDS = ("budget", "max_candidates", "rivals", "seeds", "trainings", "race")


class _Course:
    """Asks a study what comes next, and remembers what it asked for."""

    def __init__(self, study: GridRace, seed: int) -> None:
        self._study = study
        self._seed = seed
        self._asked: dict[str, tuple[int, int]] = {}  # by the jobs' keys

    def observations(self, outcomes: Sequence[Outcome]) -> list[Observation]:
        """What came of trainings."""
        return [
            Observation(*self._asked[o.key], o.score.accuracy if o.score else None)
            for o in outcomes
        ]

    def propose(self, outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
        """The next training, as `train_while` asks for it."""
        at_work = [self._asked[job.key] for job in running]
        asked = self._study.next(self.observations(outcomes), at_work)
        if asked is None:
            return None
        candidate, seed = self._study.field[asked[0]], self._seed + asked[1]
        key = f"{network_digest(candidate.network)}/{seed}"
        self._asked[key] = asked
        return Job(
            network=candidate.network, seed=seed, name=f"{label(candidate)}, seed {seed}", key=key
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


def grid_search(
    run: str | Path,
    settings: GridSettings | None = None,
    *,
    base: ScalingBase | None = None,
    images: ImageSettings | None = None,
    device: str = "cpu",
    threads: int = 1,
    staff: WorkerSettings | None = None,
    listener: Listener | None = None,
) -> GridResult:
    """Race the candidates of the grid around a base, and judge.

    The same call continues a broken grid; more seeds, trainings or candidates prolong a finished
    one, whose trainings serve again. Candidates are compared by seeds that they share: the
    same initial seed, order of images and augmentation.

    Args:
        run: the run directory; this step writes its `grid` folder, or `shrink` below 1x.
        settings: the budget, the grid and the race; by default twice the multiply-adds.
        base: what is scaled; by default the baseline of the run's search.
        images: of a named base; else only where the search's images lie now.
        device: cpu, or a CUDA device such as cuda:0.
        threads: of torch in one training; more than one pay on idle cores only.
        staff: who trains; by default this process.
        listener: told of progress; by default nobody.

    Returns:
        The candidates with what is believed of each, the pick, and how sure it is.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    settings, listener = settings or GridSettings(), listener or Silent()
    base, images, run = base or ScalingBase(), images or ImageSettings(), Path(run)
    task = images.task(run, base, device=device)
    if task is None:
        raise InvalidSetting(
            f"no images to train {base.baseline or base.model} on; name them with --data, or see "
            "the candidates with --plan"
        )
    scalable = base.scalable(run, num_classes=class_count(base, task))
    study = _study(run, scalable, settings, listener, device=device, threads=threads)
    folder = StepFolder(run, study.step)
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
                "most_trainings": study.most_trainings,
                **{name: value for name, value in asdict(settings).items() if name in EXTENDS},
            },
            journal=journal,
            read=outcomes_from_journal,
        )
        explain(study, listener)
        course = _Course(study, task.seed)
        with worker_pool(
            staff or WorkerSettings(),
            task,
            loaded,
            folder,
            size=study.largest,
            device=device,
            threads=threads,
            listener=listener,
        ) as workers:
            outcomes = train_while(
                course.propose,
                workers,
                journal,
                listener,
                most=study.most_trainings,
                leader=course.leader,
            )
        found = GridResult.of(study.grid, study.field, course.observations(outcomes))
        _write(folder, scalable, found, study)
        reached = found.accuracy(found.place) or 0.0
        if warning := chance_warning(reached, loaded.validation.labels, loaded.classes):
            listener.notice(f"warning: {warning}")
    return found


def _study(
    run: Path,
    base: Scalable,
    settings: GridSettings,
    listener: Listener,
    *,
    device: str,
    threads: int,
) -> GridRace:
    """The study of a base, with the timings that a budget of latency needs kept in the run."""
    if cost_from(settings.measure).counted:
        return GridRace.of(base, settings)
    folder = StepFolder(run, TIMINGS)
    timings = Journal(folder.file("timings.jsonl"))
    with folder.locked():
        watch = folder.begin(
            {"base": describe(base), "device": device, "threads": threads, "batch": 1},
            notes={},
            journal=timings,
            read=lambda timings: Stopwatch(
                root_of(base), timings, listener, device=device, threads=threads
            ),
        )
        return GridRace.of(base, settings, watch)


def _write(folder: StepFolder, base: Scalable, found: GridResult, study: GridRace) -> None:
    write_text(folder.file("grid.csv"), found.table.to_csv(index=False))
    write_text(folder.file("rivals.csv"), found.rival_table.to_csv(index=False))
    write_text(folder.file("surface.csv"), found.surface().round(6).to_csv(index=False))
    best = found.best
    folder.write_result(
        "coefficients.json",
        {
            **asdict(growing(best.coefficients, study.grid.budget.ratio)),
            "phi": 1 if study.step == GROW else -1,
            "nominal": best.coefficients.nominal,
            "measured": best.measured,
            "growth": best.growth,
            "distance": found.distance,
            "tolerance": study.grid.tolerance,
            "within_tolerance": study.grid.keeps(best),
            "effective": best.effective._asdict(),
            "budget": study.grid.budget.to_dict(),
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


def load_grid(run: str | Path, *, model: str | None = None) -> tuple[Scalable, Growths]:
    """The base of a run's grids and the coefficients picked, for growing and for shrinking.

    With a grid below 1x alone its coefficients serve for both.

    Args:
        model: the user's code that the grids scale; without, none is imported.

    Raises:
        InvalidSetting: if the run holds no finished grid, or one that scales another model.
        RunConflict: if a grid was around another baseline than the run's search has now, the two
            grids are around different bases, or a file is not readable.
    """
    run = Path(run)
    bases: list[Scalable] = []
    picked: list[Coefficients | None] = []
    for name in (GROW, SHRINK):
        folder = StepFolder(run, name)
        found = folder.read_result("coefficients.json")
        if found is None:
            picked.append(None)
            continue
        settings = (folder.read() or {"settings": {}})["settings"]
        bases.append(scalable_from(settings.get("base", {}), model=model))
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


def _require_same_base(folder: StepFolder, base: Scalable, *, named: bool) -> None:
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


def _require_search_agrees(folder: StepFolder, base: Scalable) -> None:
    from autoscale.jobs.search.job import STEP, load_baseline

    if StepFolder(folder.run, STEP).read() is None or not isinstance(base, Design):
        return
    if load_baseline(folder.run).trial.architecture != base.base:
        raise RunConflict(_OTHER_BASELINE.format(folder.run))
