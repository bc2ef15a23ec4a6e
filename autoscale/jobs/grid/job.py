"""Find how depth, width and resolution should grow together: the grid, raced and judged."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from autoscale.design.rounding import Coefficients
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.clock import now
from autoscale.jobs.deadline import Deadline, noted
from autoscale.jobs.grid.candidates import (
    GROW,
    SHRINK,
    GridRace,
    explain,
    is_timed,
    label,
    root_of,
    where_timed,
)
from autoscale.jobs.grid.judging import class_count, notes_on_start, proxy_of, with_grid_images
from autoscale.jobs.grid.result import GridResult
from autoscale.jobs.grid.scaling_base import (
    describe,
    require_scorable,
    scalable_from,
    scalable_of,
)
from autoscale.jobs.grid.settings import GONE, GridSettings
from autoscale.jobs.grid.stopwatch import kept_timings
from autoscale.jobs.record import Record
from autoscale.jobs.reference.network import ReferenceNetwork, find_references
from autoscale.jobs.reference.result import Own, Reference
from autoscale.jobs.reference.training import ReferenceTrainings, cost_of_one, notes_of
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.result import load_baseline
from autoscale.jobs.starts.pointer import on_weights
from autoscale.jobs.tracked import TrackedTrainings, tracking_of
from autoscale.jobs.workers.pool import worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.listener import Listener, Silent
from autoscale.racing.response_surface import Observation
from autoscale.runs.records import Outcome, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.scaling.family import Growths
from autoscale.scaling.scalable import Design, Scalable, network_digest
from autoscale.search.objective import Score, floats_of
from autoscale.settings.function import takes_settings
from autoscale.tracking.tracking import Tracking, require_trackers
from autoscale.training.chance import chance_warning

_OTHER_BASELINE = (
    "the grid in {} is around another baseline than the search has now, since a longer search "
    "chose anew; repeat search and grid in another --run"
)


class _Course:
    """Asks a race what comes next, and remembers what it asked for."""

    def __init__(self, race: GridRace, seed: int) -> None:
        self._race = race
        self._seed = seed
        self._asked: dict[str, tuple[int, int]] = {}  # candidate and seed by the jobs' keys

    def observations(self, outcomes: Sequence[Outcome]) -> list[Observation]:
        """What came of trainings."""
        return [
            Observation(*self._asked[o.key], o.score.judged if o.score else None) for o in outcomes
        ]

    def floats(self, outcomes: Sequence[Outcome]) -> dict[int, tuple[float, ...]]:
        """Of each candidate its accuracies as trained, where int8 networks are scored."""
        found: dict[int, list[Score]] = {}
        for outcome in outcomes:
            if outcome.score:
                found.setdefault(self._asked[outcome.key][0], []).append(outcome.score)
        return {candidate: floats_of(scores) for candidate, scores in found.items()}

    def choices(self, key: str) -> dict[str, object]:
        """What was chosen for the training of a key, of an earlier call too."""
        digest, _, seed = key.partition("/")
        for candidate in self._race.field:
            if network_digest(candidate.network) == digest:
                return {**asdict(candidate.coefficients), "seed": int(seed)}
        return {"network": digest, "seed": int(seed)}  # of a larger grid, before

    def propose(self, outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
        """The next training, as `Trainings.proposed` asks for it."""
        at_work = [self._asked[job.key] for job in running]
        asked = self._race.next(self.observations(outcomes), at_work)
        if asked is None:
            return None
        candidate, seed = self._race.field[asked[0]], self._seed + asked[1]
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
        means = {candidate: sum(own) / len(own) for candidate, own in scores.items()}
        best = max(means, key=lambda candidate: means[candidate])
        point = self._race.field[best].coefficients
        return f"({point.alpha:g}, {point.beta:g}, {point.gamma:.3g}) {means[best]:.3f}"


@takes_settings(GridSettings, gone=GONE)
def grid_search(
    run: str | Path, settings: GridSettings, *, listener: Listener | None = None
) -> GridResult:
    """Race the candidates of the grid around a base, and judge.

    The same call continues a broken grid; more seeds, trainings or candidates prolong a finished
    one, whose trainings serve again. Candidates are compared by seeds that they share: the
    same initial seed, order of images and augmentation. Published networks that are asked for are
    fine-tuned with every seed, each for as many epochs as cost what the training of a candidate
    costs on average. With `hours` the race ends when no further training fits, and the verdict says
    so.

    Args:
        run: the run directory; this step writes its `grid` folder, or `shrink` below 1x.
        listener: told of progress; by default nobody.

    Returns:
        The candidates with the estimate of each, the pick, and how sure it is.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    began, run, listener = now(), Path(run), listener or Silent()
    require_trackers(settings.track)
    proxy = proxy_of(run, settings)
    if proxy is None:
        raise InvalidSetting(
            f"no images to train {settings.baseline or settings.model} on; name them with --data, "
            "or see the candidates with --plan"
        )
    base = scalable_of(settings, run, num_classes=class_count(settings, proxy))
    proxy = proxy.for_design(root_of(base))
    sizes = ["--network", settings.baseline or str(run / "search" / "baseline.yaml")]
    start = proxy.transfer.start
    for note in (
        *notes_on_start(start, base),
        *on_weights(run, start, weights=settings.weights, data=proxy.source.data, sizes=sizes),
    ):
        listener.notice(note)
    require_scorable(run, base, settings, proxy.dtype, listener)
    race = _race(run, base, settings, proxy, listener)
    references = find_references(
        settings,
        resolution=race.largest,
        aspect=root_of(base).aspect,
        classes=race.num_classes,
        listener=listener,
        dtype=proxy.dtype,
        quality=proxy.chosen.quality,
    )
    folder = StepFolder(run, race.step)
    deadline = Deadline.of(settings.hours, folder, listener, since=began)
    tracking = tracking_of(folder, settings, listener)
    with folder.locked(), noted(deadline), tracking:
        proxy = with_grid_images(run, settings, proxy, size=race.largest, listener=listener)
        _require_same_base(folder, base, named=settings.named)
        result = _carry_out(
            race, references, proxy, folder, deadline or listener, deadline, tracking
        )
        _write(folder, base, result, race)
        tracking.conclude(_answer(result))
        images, metric = proxy.images, proxy.metric
        reached = result.accuracy(result.index) or 0.0
        reached = reached if metric is None else metric.of_quality(reached)
        labels = images.validation.labels
        if warning := chance_warning(reached, labels, images.classes, metric=metric):
            listener.notice(f"warning: {warning}")
    return result


def _carry_out(
    race: GridRace,
    references: Sequence[ReferenceNetwork],
    proxy: Proxy,
    folder: StepFolder,
    listener: Listener,
    deadline: Deadline | None,
    tracking: Tracking,
) -> GridResult:
    """Race the candidates, or go on with that, train what stands beside them, and judge."""
    journal, course = Journal(folder.file("trainings.jsonl")), _Course(race, proxy.source.seed)
    facts = {
        **proxy.record(),
        "base": describe(race.base),
        "measure": race.grid.budget.measure.name,
        "budget": race.grid.budget.limit,
    }
    if table := race.grid.budget.measure.to_dict():
        facts["measure_table"] = table
    if limits := {limit.measure.name: limit.to_dict() for limit in race.limited.limits}:
        facts["max_cost"] = limits
    facts |= race.settings.timed_in
    record = Record(
        settings=race.settings,
        facts=facts,
        notes={
            "most_trainings": race.most_trainings,
            **proxy.transfer.told,
            **notes_of(references, proxy, seeds=race.settings.seeds),
        },
    )
    record.begin(folder, journal, listener, read=outcomes_from_journal)
    explain(race, listener)
    tracked = TrackedTrainings(tracking, journal, proxy.chosen.quality, course.choices)
    with worker_pool(race.settings, proxy, folder, listener) as workers:
        trainings = Trainings(workers, journal, listener, told=tracked.add)
        trainings = trainings.within(deadline, [entry.network for entry in race.field])
        outcomes = trainings.proposed(
            course.propose, most=race.most_trainings, leader=course.leader
        )
    found = GridResult.of(
        race.grid,
        race.field,
        course.observations(outcomes),
        floats=course.floats(outcomes),
        quality=proxy.chosen.quality,
        ended_by=race.settings.hours if trainings.pacer and trainings.pacer.ended else None,
    )
    if not references:
        return found
    own = _pick(found, outcomes, proxy)
    beside = ReferenceTrainings(
        settings=race.settings,
        folder=folder,
        listener=listener,
        judge=proxy,
        seeds=range(proxy.source.seed, proxy.source.seed + race.settings.seeds),
        aim=own.training_cost,
    )
    rivals = tuple(Reference(scores=beside.scores(r), own=own) for r in references)
    return replace(found, references=rivals)


def _answer(result: GridResult) -> dict[str, float | str | None]:
    """What trackers are told of the pick."""
    return {
        **asdict(result.coefficients),
        result.quality.label: result.accuracy(result.index),
        "growth": result.best.growth,
        "trainings": len(result.observations),
        "verdict": result.sentence,
    }


def _pick(found: GridResult, outcomes: Sequence[Outcome], proxy: Proxy) -> Own:
    """The pick, as published networks are compared with it."""
    seed = proxy.source.seed
    return Own(
        name="the pick",
        macs=int(found.best.cost.macs),
        accuracies={
            seed + one.seed: one.score
            for one in found.observations
            if one.candidate == found.index and one.score is not None
        },
        training_cost=cost_of_one([outcome.score for outcome in outcomes if outcome.score]),
        images=len(proxy.images.validation),
    )


def _race(
    run: Path, base: Scalable, settings: GridSettings, proxy: Proxy, listener: Listener
) -> GridRace:
    """The race of a base, with the timings that it needs kept in the run."""
    dtype, padding = proxy.dtype, proxy.transfer.start.expected.style.padding
    settings = where_timed(run, settings, dtype)
    if not is_timed(settings):
        return GridRace.of(base, settings, padding=padding)
    asked = settings.timing(dtype, settings.device, settings.threads)
    with kept_timings(run, base, asked, settings, listener) as watch:
        return GridRace.of(base, settings, watch, padding=padding)


def _write(folder: StepFolder, base: Scalable, result: GridResult, race: GridRace) -> None:
    write_text(folder.file("grid.csv"), result.table.to_csv(index=False))
    write_text(folder.file("rivals.csv"), result.rival_table.to_csv(index=False))
    write_text(folder.file("surface.csv"), result.surface().round(6).to_csv(index=False))
    best, rivals = result.best, result.references
    as_trained = result.accuracy_float(result.index)
    folder.write_result(
        "coefficients.json",
        {
            **asdict(growing(best.coefficients, race.grid.budget.ratio)),
            "phi": 1 if race.step == GROW else -1,
            "nominal": best.coefficients.nominal,
            "measured": best.measured,
            "growth": best.growth,
            "distance": result.distance,
            "tolerance": race.grid.tolerance,
            "within_tolerance": race.grid.keeps(best),
            "effective": best.effective._asdict(),
            "budget": race.grid.budget.to_dict(),
            "rounding": base.rounding.name if isinstance(base, Design) else None,
            result.quality.column: result.accuracy(result.index),
            **({} if as_trained is None else {"accuracy_float": as_trained}),
            "seed_noise": result.seed_noise,
            "trainings": len(result.observations),
            "verdict": result.sentence,
            **({} if result.ended_by is None else {"hours": result.ended_by}),
            **({"references": [one.to_dict() for one in rivals]} if rivals else {}),
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


def _require_search_agrees(folder: StepFolder, base: Scalable) -> None:
    if StepFolder(folder.run, SEARCH).read() is None or not isinstance(base, Design):
        return
    if load_baseline(folder.run).trial.architecture != base.base:
        raise RunConflict(_OTHER_BASELINE.format(folder.run))
