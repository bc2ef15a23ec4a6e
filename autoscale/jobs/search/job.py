"""Search a small baseline on the user's images."""

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.datasets.data import ImageData
from autoscale.datasets.pictures.preparation import OURS
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.measures.limits import Limit, require_reachable
from autoscale.design.measures.macs import MACS
from autoscale.design.space import SearchSpace
from autoscale.errors import EvaluationFailed, InvalidSetting, RunConflict
from autoscale.jobs.costs import cost_from, limits_from
from autoscale.jobs.curves import SearchCurves
from autoscale.jobs.search.confirm import choose
from autoscale.jobs.search.goal import make_objective, ready, require_objective
from autoscale.jobs.search.search_progress import Watch
from autoscale.jobs.search.spaces import space_text
from autoscale.jobs.search.stopping import epochs_spent, rungs_of
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.pool import TrainingRequest, WorkerPool, WorkerSettings, worker_pool
from autoscale.jobs.workers.proxy import Task, recipe_named
from autoscale.listener import Listener, Silent
from autoscale.runs.records import trial_to_record, trials_from_journal
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.runs.tensorboard import require_tensorboard
from autoscale.search.dashboard import Copy, database, in_database, in_file, shown
from autoscale.search.engine import Trial, knowledge, search
from autoscale.search.objective import Objective
from autoscale.search.pareto import front
from autoscale.search.rungs import RungCheck, Rungs, TrainingResult
from autoscale.search.samplers import make_sampler
from autoscale.training.chance import chance_warning

STEP = "search"


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A finished search and what it chose."""

    trial: Trial  # the chosen one
    accuracies: tuple[float, ...]  # of the chosen one on validation images, one for each seed
    trials: tuple[Trial, ...]  # every step, in order
    objective: Objective
    space: SearchSpace  # with the classes and the resolution of the images

    @property
    def table(self) -> pd.DataFrame:
        """One row for each trained design; see `trial_table`."""
        return trial_table(self.trials, self.objective)


def search_baseline(
    run: str | Path,
    *,
    data: str = "synthetic",
    space: str = "mbconv-small",
    trials: int = 20,
    sampler: str = "guided",
    objective: str = "hard",
    cost_measure: str = "macs",
    target: float | None = None,
    w: float = -0.07,
    max_macs: int | None = None,
    max_cost: Sequence[str] = (),
    confirm: int = 0,
    rungs: Sequence[int] = (),
    caution: float | None = None,
    seed: int = 0,
    resolution: int | None = None,
    recipe: str = "proxy",
    epochs: int | None = None,
    limit: int | None = None,
    strict: bool = False,
    white_level: int = OURS.white_level,
    device: str = "cpu",
    threads: int = 1,
    kernels: str = "auto",
    staff: WorkerSettings | None = None,
    storage: str | None = None,
    tensorboard: bool = False,
    listener: Listener | None = None,
) -> Baseline:
    """Train `trials` designs of the space and choose the baseline.

    The same call continues a broken search; a larger `trials` prolongs a finished one. The test
    images are not read.

    Args:
        run: the run directory; this step writes its `search` folder.
        data: "synthetic", a folder with one sub-folder per class, or Parquet files.
        space: the name of a shipped space, or a YAML file.
        trials: networks to train.
        sampler: guided, evolution, controller, random, tpe, nsga2, or gp (needs scipy).
        objective: "hard" maximises accuracy up to the target and punishes cost beyond it; "soft"
            is accuracy * (cost / target) ** w; "front" searches accuracy and cost apart, and the
            baseline is the best of the front by the hard reward.
        cost_measure: what a network costs: macs, params, activations or memory (bytes of the most
            activations alive at once) count; "latency" times some networks of the space on this
            device and predicts the others, which is kept with the search.
        w: exponent of the soft reward.
        target: in the unit of the cost; by default what half of the space's designs cost at most.
        max_macs: designs of more multiply-adds are never trained.
        max_cost: limits such as "params=250K"; designs that break one are never trained.
        confirm: train so many of the best designs with two more seeds each and choose by the mean;
            0 trusts the single training of the search.
        rungs: stop trainings that are left behind after so many epochs, such as (1, 2); see
            `autoscale.search.rungs`. None stops nothing.
        caution: how far behind they must be; see `Rungs`.
        seed: of proposals, splits and trainings.
        resolution: pixels per side; the space's own if not given.
        recipe: proxy, full, small-images, sgd or efficientnet.
        epochs: of each training, instead of the recipe's.
        limit: use at most so many training images.
        strict: refuse unreadable images instead of skipping them.
        white_level: the number of a picture of 16 bits that is white, such as 4095 for 12 bits.
        device: cpu, or a CUDA device such as cuda:0.
        threads: of torch in one training; more than one pay on idle cores only.
        kernels: "native", "torch" or "none", see `jobs.workers.kernels`; "auto" takes the fastest
            that this machine has. The choice is recorded, and the later steps keep to it.
        staff: who trains; by default this process. Another one may continue a search.
        storage: a PostgreSQL database, as postgresql://user@host/database, that gets a copy of the
            search as an Optuna study. It is named nowhere in the run directory.
        tensorboard: write curves and the choices of each finished trial for TensorBoard too, those
            of earlier calls included.
        listener: told of progress; by default nobody.

    Returns:
        The baseline, its accuracies, and a table of all trials.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    listener = listener or Silent()
    make_sampler(sampler, seed=seed)  # refuses an unknown one before images are read
    if trials < 1:
        raise InvalidSetting(f"trials must be at least 1, got {trials}")
    if confirm < 0:
        raise InvalidSetting(f"confirm must be at least 0, got {confirm}")
    if storage is not None:
        database(storage)
    if tensorboard:
        require_tensorboard()
    if resolution is not None and resolution < 1:
        raise InvalidSetting(f"resolution must be at least 1 pixel, got {resolution}")
    task = Task(
        data=data,
        recipe=recipe_named(recipe, epochs=epochs),
        seed=seed,
        limit=limit,
        strict=strict,
        white_level=white_level,
        kernels=choose_kernels(kernels, device=device, listener=listener),
    )
    stages = rungs_of(rungs, caution, task.recipe.epochs)
    text = space_text(space)
    shipped = SearchSpace.from_yaml(text, source=space)
    require_objective(objective, target=target, w=w)
    measure, limits = cost_from(cost_measure), limits_from(max_cost, max_macs=max_macs)
    size = resolution or max(shipped.resolution)
    images = task.load(size=size, test=False, listener=listener)
    fitted = shipped.for_task(resolution=resolution, num_classes=len(images.classes))
    require_reachable(fitted, [limit for limit in limits if limit.measure.counted])

    step = StepFolder(Path(run), STEP)
    measure, *limited = ready(
        [measure, *(limit.measure for limit in limits)],
        fitted,
        device=device,
        kept=_kept_measures((step.read() or {}).get("settings") or {}),
        listener=listener,
    )
    limits = tuple(replace(limit, measure=m) for limit, m in zip(limits, limited, strict=True))
    require_reachable(fitted, limits)
    goal = make_objective(
        objective,
        fitted,
        target=target,
        w=w,
        measure=measure,
        listener=listener,
    )
    plan = _Plan(
        task=task,
        images=images,
        size=size,
        text=text,
        resolution=resolution,
        space=fitted,
        sampler=sampler,
        goal=goal,
        limits=limits,
        rungs=stages,
    )
    return _carry_out(
        step,
        plan,
        trials=trials,
        confirm=confirm,
        device=device,
        threads=threads,
        staff=staff or WorkerSettings(),
        storage=storage,
        tensorboard=tensorboard,
        listener=listener,
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is searched and on what: all that decides which designs a search proposes."""

    task: Task
    images: ImageData
    size: int  # pixels per side of the images
    text: str  # of the space as it was written
    resolution: int | None  # that was asked for instead of the space's own
    space: SearchSpace  # with the classes and the resolution of the images
    sampler: str
    goal: Objective
    limits: tuple[Limit, ...]
    rungs: Rungs | None

    def settings(self) -> dict[str, Any]:
        """What must be the same to go on with the search, as plain data."""
        return {
            "task": self.task.settings(),
            "images": self.images.fingerprint,
            "space": self.text,
            "classes": list(self.images.classes),
            "resolution": self.resolution,
            "sampler": self.sampler,
            "objective": self.goal.to_dict(),
            "rungs": asdict(self.rungs) if self.rungs else None,
            **limits_record(self.limits),
        }


def limits_record(limits: Sequence[Limit]) -> dict[str, Any]:
    """Limits as settings have them: that on multiply-adds by itself, others only if there are."""
    most = next((limit.most for limit in limits if limit.measure == MACS), None)
    rest = {limit.measure.name: limit.to_dict() for limit in limits if limit.measure != MACS}
    return {"max_macs": most} | ({"max_cost": rest} if rest else {})


def _kept_measures(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the settings of an earlier call know of its measures, by their names."""
    limits = (settings.get("max_cost") or {}).items()
    known = {name: plain["measure"] for name, plain in limits if "measure" in plain}
    return known | dict(settings.get("objective") or {})


def _carry_out(
    step: StepFolder,
    plan: _Plan,
    *,
    trials: int,
    confirm: int,
    device: str,
    threads: int,
    staff: WorkerSettings,
    storage: str | None,
    tensorboard: bool,
    listener: Listener,
) -> Baseline:
    """Search by the plan, or go on with it, choose the baseline and write it."""
    space, goal = plan.space, plan.goal
    journal = Journal(step.file("trials.jsonl"))
    with step.locked():
        history = step.begin(
            plan.settings(),
            notes={"data": plan.task.place, "trials": trials, "device": device},
            journal=journal,
            read=lambda journal: trials_from_journal(journal, space),
        )
        if sum(trial.trained for trial in history) < trials:
            step.forget("baseline.yaml", "baseline.json")  # the choice is open again
        copies = _copies(step, storage, space, goal, history, listener)
        curves = [SearchCurves(step.path, goal, history)] if tensorboard else []
        with worker_pool(
            staff,
            plan.task,
            plan.images,
            step,
            size=plan.size,
            device=device,
            threads=threads,
            listener=listener,
        ) as workers:
            steps = _search(plan, trials, history, workers, journal, [*copies, *curves], listener)
            _sum_up(steps, trials, plan.rungs, listener)
            winner, accuracies = choose(
                steps,
                space,
                goal,
                confirm=confirm,
                step=step,
                seed=plan.task.seed,
                workers=workers,
                listener=listener,
            )
        _complete(copies, listener)
        _warn_of_chance(accuracies, plan.images, listener)
        found = Baseline(
            trial=winner, accuracies=accuracies, trials=tuple(steps), objective=goal, space=space
        )
        _write(step, found)
    return found


def _warn_of_chance(accuracies: Sequence[float], images: ImageData, listener: Listener) -> None:
    mean = sum(accuracies) / len(accuracies)
    if warning := chance_warning(mean, images.validation.labels, images.classes):
        listener.notice(f"warning: {warning}")


def _search(
    plan: _Plan,
    trials: int,
    history: Sequence[Trial],
    workers: WorkerPool,
    journal: Journal,
    copies: Sequence[Copy | SearchCurves],
    listener: Listener,
) -> list[Trial]:
    """Every step of the search, those of `history` too; each is kept as soon as it is done."""
    seed = plan.task.seed
    watch = Watch(history, trials, plan.goal, listener, at_once=workers.at_once)
    watch.announce(
        plan.images.name, len(plan.images.train), plan.space, workers, seed, limits=plan.limits
    )

    def record(trial: Trial) -> None:
        journal.append(trial_to_record(trial))
        for copy in copies:
            copy.add(trial)
        watch.saw(trial)

    def evaluate(
        architecture: Architecture, repetition: int, look: RungCheck | None = None
    ) -> Future[TrainingResult]:
        return workers.submit(
            TrainingRequest(network=architecture, seed=seed + repetition, look=look),
            name=f"{plan.goal.show(plan.goal.cost(architecture))}, seed {seed + repetition}",
        )

    return search(
        plan.space,
        plan.goal,
        evaluate,
        trials=trials,
        sampler=make_sampler(
            plan.sampler,
            seed=seed,
            space=plan.space,
            known=knowledge(plan.goal, plan.limits),
        ),
        seed=seed,
        limits=plan.limits,
        rungs=plan.rungs,
        history=history,
        record=record,
        at_once=workers.at_once,
    )


def _copies(
    step: StepFolder,
    storage: str | None,
    space: SearchSpace,
    goal: Objective,
    history: Sequence[Trial],
    listener: Listener,
) -> list[Copy]:
    """The copies of the search for Optuna's tools: in the run directory, and in a database."""
    opened = [in_file(step.file("optuna.journal"), step.run.resolve().name, goal)]
    if storage is not None:
        kept = step.read_result("study.json")
        if kept is None:  # one that no other run will have
            kept = {"study": f"{step.run.resolve().name}-{secrets.token_hex(4)}"}
            step.write_result("study.json", kept)
        opened.append(in_database(storage, str(kept.get("study")), goal))
        listener.notice(f"study {kept.get('study')} in {shown(database(storage))}")
    return [Copy(open_study, space, goal, history, listener.notice) for open_study in opened]


def _complete(copies: Sequence[Copy], listener: Listener) -> None:
    """Give the copies what they could not take before."""
    for copy in copies:
        if lacking := copy.catch_up():
            listener.notice(
                f"warning: the copy for Optuna's tools lacks {lacking} trials; the same command "
                "brings them"
            )


def _write(step: StepFolder, found: Baseline) -> None:
    """What the later steps, people and other programs read of a finished search."""
    write_text(step.file("trials.csv"), found.table.to_csv(index=False))
    step.write_result(
        "baseline.json", {"trial": found.trial.number, "accuracies": found.accuracies}
    )
    write_text(step.file("baseline.yaml"), found.trial.architecture.to_yaml())


def _sum_up(steps: Sequence[Trial], trials: int, stages: Rungs | None, listener: Listener) -> None:
    """Say what a search did.

    Raises:
        EvaluationFailed: if no training succeeded.
    """
    trained = sum(trial.trained for trial in steps)
    if trained < trials:
        listener.notice(f"no untried network is left in the space; {trained} were trained")
    if stages:
        spent, all_epochs = epochs_spent(steps, stages.epochs[-1])
        listener.notice(
            f"{sum(t.status == 'stopped' for t in steps)} of {trained} trainings were stopped; "
            f"{spent} of {all_epochs} epochs were trained, {1 - spent / all_epochs:.0%} saved"
        )
    if not any(trial.score for trial in steps):
        raise EvaluationFailed(f"no training succeeded; the last failed: {steps[-1].cause}")


def load_baseline(run: str | Path) -> Baseline:
    """The finished search of a run directory.

    Raises:
        InvalidSetting: if none is there.
        RunConflict: if its files are not readable.
    """
    step = StepFolder(Path(run), STEP)
    space, goal, trials = load_trials(run)
    chosen = step.read_result("baseline.json")
    if chosen is None or not step.file("baseline.yaml").exists():
        raise InvalidSetting(f"the search in {run} is not finished; repeat its command first")
    try:
        trial, accuracies = trials[chosen["trial"]], tuple(chosen["accuracies"])
    except (KeyError, TypeError, IndexError) as problem:
        raise _damaged(step, problem) from None
    return Baseline(
        trial=trial,
        accuracies=accuracies,
        trials=trials,
        objective=goal,
        space=space,
    )


def load_trials(run: str | Path) -> tuple[SearchSpace, Objective, tuple[Trial, ...]]:
    """The space, the objective and the steps so far of a run's search, finished or not.

    Raises:
        InvalidSetting: if none is there.
        RunConflict: if its files are not readable.
    """
    step = StepFolder(Path(run), STEP)
    begun = _begun(run)
    try:
        settings = begun["settings"]
        space = SearchSpace.from_yaml(settings["space"], source=str(step.file("settings.json")))
        space = space.for_task(
            resolution=settings["resolution"], num_classes=len(settings["classes"])
        )
        goal = Objective.from_dict(settings["objective"])
    except (KeyError, TypeError) as problem:
        raise _damaged(step, problem) from None
    return space, goal, tuple(trials_from_journal(Journal(step.file("trials.jsonl")), space))


def _damaged(step: StepFolder, problem: Exception) -> RunConflict:
    return RunConflict(
        f"{step.path} is damaged ({problem!r}); restore it from a copy or choose another --run"
    )


def load_task(run: str | Path, *, data: str | None = None) -> Task:
    """The images and the recipe of the search in a run directory.

    Args:
        data: where the images lie now, if they were moved.

    Raises:
        InvalidSetting: if no search is there.
        RunConflict: if its settings are not readable.
    """
    begun = _begun(run)
    try:
        place = begun["notes"]["data"] if data is None else data
        return Task.from_settings(begun["settings"]["task"], data=place)
    except (KeyError, TypeError) as problem:
        raise RunConflict(
            f"{Path(run) / STEP / 'settings.json'} is damaged ({problem!r}); restore it from a "
            "copy or choose another --run"
        ) from None


def load_images(
    run: str | Path, task: Task, *, size: int, test: bool, listener: Listener
) -> ImageData:
    """The images of a run's search, `size` pixels per side.

    Raises:
        DataProblem: if they cannot be read.
        RunConflict: if they are not those that the search was made with.
    """
    images = task.load(size=size, test=test, listener=listener)
    settings = _begun(run)["settings"]
    if images.fingerprint != settings["images"] or list(images.classes) != settings["classes"]:
        raise RunConflict(
            f"the images in {task.data} are not those of the search in {run}; restore them, name "
            "their place with --data, or search again in another --run"
        )
    return images


def _begun(run: str | Path) -> dict[str, Any]:
    found = StepFolder(Path(run), STEP).read()
    if found is None:
        raise InvalidSetting(
            f"{run} holds no search; begin with: autoscale search-baseline --run {run}"
        )
    return found


def trial_table(trials: Sequence[Trial], objective: Objective) -> pd.DataFrame:
    """One row for each trained design.

    Columns: trial, status, accuracy (share of validation images), macs, params, activations (one
    image), what the search took for cost if it is another (latency_ms: predicted), seconds,
    on_front (no other is as accurate and cheaper), cause of a failure or a stop, then the choices
    of the space.
    A stopped design has no accuracy; where rungs were looked at, columns accuracy_after_N say what
    it had after N epochs.
    """
    trained = [trial for trial in trials if trial.trained]
    finished = [trial for trial in trained if trial.score]
    points = [(t.score.accuracy, objective.cost(t.architecture)) for t in finished if t.score]
    members = (
        {finished[i].number for i in front(points, ["maximize", "minimize"])} if points else {}
    )
    rungs = sorted({epochs for trial in trained for epochs in trial.rungs})
    rows = []
    for trial in trained:
        told = trial.score or trial.partial
        counted = cost(trial.architecture)
        rows.append(
            {
                "trial": trial.number,
                "status": trial.status,
                "accuracy": trial.score.accuracy if trial.score else None,
                "macs": counted.macs,
                "params": counted.params,
                "activations": counted.activations,
                objective.measure.column: objective.cost(trial.architecture),
                "seconds": round(told.seconds, 2) if told else None,
                "on_front": trial.number in members,
                "cause": trial.cause,
                **{f"accuracy_after_{n}": trial.rungs.get(n) for n in rungs},
                **trial.params,
            }
        )
    return pd.DataFrame(rows)
