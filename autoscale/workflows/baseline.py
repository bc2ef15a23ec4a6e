"""Search a small baseline on the user's images."""

import random
import secrets
import statistics
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import EvaluationFailed, InvalidSetting, RunConflict
from autoscale.runs.records import trial_to_record, trials_from_journal
from autoscale.runs.store import Journal, Step, write_text
from autoscale.search.dashboard import Copy, database, in_database, in_file, shown
from autoscale.search.engine import (
    Standings,
    Trial,
    believed_ranking,
    knowledge,
    require_reachable,
    search,
)
from autoscale.search.identity import network_of
from autoscale.search.objective import Objective, Score
from autoscale.search.pareto import Front, front
from autoscale.search.rungs import Answer, Look, Rungs
from autoscale.search.samplers import make_sampler
from autoscale.training.data import ImageData
from autoscale.workflows.catalogue import space_text
from autoscale.workflows.crew import Crew, Order, Staff, crew
from autoscale.workflows.evaluate import Task, recipe_named
from autoscale.workflows.goal import make_objective, require_objective
from autoscale.workflows.kernels import choose_kernels
from autoscale.workflows.progress import Listener, Progress, Silent, duration
from autoscale.workflows.stopping import epochs_spent, rungs_of
from autoscale.workflows.trainings import Job, train_all

STEP = "search"

#: Further seeds with which `confirm` trains the best designs.
AGAIN = 2

#: Added to the run's seed for them; the search itself repeats a network with the next seeds.
FRESH = 500


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
    confirm: int = 0,
    rungs: Sequence[int] = (),
    caution: float | None = None,
    seed: int = 0,
    resolution: int | None = None,
    recipe: str = "proxy",
    epochs: int | None = None,
    limit: int | None = None,
    strict: bool = False,
    device: str = "cpu",
    threads: int = 1,
    kernels: str = "auto",
    staff: Staff | None = None,
    storage: str | None = None,
    listener: Listener | None = None,
) -> Baseline:
    """Train `trials` designs of the space and choose the baseline.

    The same call continues a broken search; a larger `trials` prolongs a finished one. The test
    images are not read.

    Args:
        run: the run directory; this step writes its `search` folder.
        data: "synthetic", a folder with one sub-folder per class, or Parquet files.
        space: the name of a shipped space, or a YAML file.
        sampler: a name in `autoscale.search.samplers.SAMPLERS`.
        objective: "hard" maximises accuracy up to the target and punishes cost beyond it; "soft"
            is accuracy * (cost / target) ** w; "front" searches accuracy and cost apart, and the
            baseline is the best of the front by the hard reward.
        cost_measure: "macs" counts; "latency" times some networks of the space on this device and
            predicts the others, which is kept with the search.
        target: multiply-adds, or milliseconds; by default what half of the space's designs cost at
            most.
        max_macs: designs that cost more are never trained.
        confirm: train so many of the best designs with two more seeds each and choose by the mean;
            0 trusts the single training of the search.
        rungs: stop trainings that are left behind after so many epochs, such as (1, 2); see
            `autoscale.search.rungs`. None stops nothing.
        caution: how far behind they must be; see `Rungs`.
        resolution: pixels per side; the space's own if not given.
        epochs: of each training, instead of the recipe's.
        limit: use at most so many training images.
        strict: refuse unreadable images instead of skipping them.
        threads: of torch in one training; more than one pay on idle cores only.
        kernels: "native", "torch" or "none", see `workflows.kernels`; "auto" takes the fastest that
            this machine has. The choice is recorded, and the later steps keep to it.
        staff: who trains; by default this process. Another one may continue a search.
        storage: a PostgreSQL database, as postgresql://user@host/database, that gets a copy of the
            search as an Optuna study. It is named nowhere in the run directory.

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
    if resolution is not None and resolution < 1:
        raise InvalidSetting(f"resolution must be at least 1 pixel, got {resolution}")
    task = Task(
        data=data,
        recipe=recipe_named(recipe, epochs=epochs),
        seed=seed,
        limit=limit,
        strict=strict,
        kernels=choose_kernels(kernels, device=device, listener=listener),
    )
    stages = rungs_of(rungs, caution, task.recipe.epochs)
    shipped = SearchSpace.from_yaml(space_text(space), source=space)
    require_objective(objective, target=target, w=w, measure=cost_measure)
    size = resolution or max(shipped.resolution)
    images = task.load(size=size, test=False, listener=listener)
    fitted = shipped.for_task(resolution=resolution, num_classes=len(images.classes))
    require_reachable(fitted, max_macs)

    step = Step(Path(run), STEP)
    goal = make_objective(
        objective,
        fitted,
        target=target,
        w=w,
        measure=cost_measure,
        device=device,
        kept=((step.read() or {}).get("settings") or {}).get("objective"),
        listener=listener,
    )
    journal = Journal(step.file("trials.jsonl"))
    with step.locked():
        history = step.begin(
            {
                "task": task.settings(),
                "images": images.fingerprint,
                "space": space_text(space),
                "classes": list(images.classes),
                "resolution": resolution,
                "sampler": sampler,
                "objective": goal.to_dict(),
                "max_macs": max_macs,
                "rungs": asdict(stages) if stages else None,
            },
            notes={"data": task.place, "trials": trials, "device": device},
            journal=journal,
            read=lambda journal: trials_from_journal(journal, fitted),
        )
        if sum(trial.trained for trial in history) < trials:
            step.forget("baseline.yaml", "baseline.json")  # the choice is open again
        copies = _copies(step, storage, fitted, goal, history, listener)
        with crew(
            staff or Staff(),
            task,
            images,
            step,
            size=size,
            device=device,
            threads=threads,
            listener=listener,
        ) as workers:
            watch = Watch(history, trials, goal, listener, at_once=workers.at_once)
            watch.announce(images.name, len(images.train), fitted, workers, seed)

            def record(trial: Trial) -> None:
                journal.append(trial_to_record(trial))
                for copy in copies:
                    copy.add(trial)
                watch.saw(trial)

            def evaluate(
                architecture: Architecture, repetition: int, look: Look | None = None
            ) -> Future[Answer]:
                return workers.submit(
                    Order(network=architecture, seed=seed + repetition, look=look),
                    name=f"{goal.show(goal.cost(architecture))}, seed {seed + repetition}",
                )

            steps = search(
                fitted,
                goal,
                evaluate,
                trials=trials,
                sampler=make_sampler(
                    sampler, seed=seed, space=fitted, known=knowledge(goal, max_macs)
                ),
                seed=seed,
                max_macs=max_macs,
                rungs=stages,
                history=history,
                record=record,
                at_once=workers.at_once,
            )
            _sum_up(steps, trials, stages, listener)
            contenders = believed_ranking(steps, fitted, goal, count=max(1, confirm))
            scores = {trial.number: _scores(steps, trial) for trial in contenders}
            if confirm:
                trained = sum(trial.trained for trial in steps)
                again = Journal(step.file(f"confirm-{confirm}-of-{trained}.jsonl"))
                for number, score in _again(contenders, goal, seed, workers, again, listener):
                    scores[number].append(score)
        for copy in copies:
            if lacking := copy.catch_up():
                listener.notice(
                    f"warning: the copy for Optuna's tools lacks {lacking} trials; the same "
                    "command brings them"
                )
        winner = contenders[0]
        if confirm:
            winner = max(
                contenders,
                key=lambda trial: statistics.mean(
                    goal.worth(s.accuracy, trial.architecture) for s in scores[trial.number]
                ),
            )
        accuracies = tuple(score.accuracy for score in scores[winner.number])
        write_text(step.file("trials.csv"), trial_table(steps, goal).to_csv(index=False))
        step.write_result("baseline.json", {"trial": winner.number, "accuracies": accuracies})
        write_text(step.file("baseline.yaml"), winner.architecture.to_yaml())
    return Baseline(
        trial=winner, accuracies=accuracies, trials=tuple(steps), objective=goal, space=fitted
    )


def _copies(
    step: Step,
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


def _again(
    contenders: Sequence[Trial],
    goal: Objective,
    seed: int,
    workers: Crew,
    journal: Journal,
    listener: Listener,
) -> list[tuple[int, Score]]:
    """Train each contender with new seeds: its trial's number and the score, as often as it has."""
    listener.notice(f"the {len(contenders)} best are trained with {AGAIN} more seeds each")
    jobs = [
        Job(
            network=trial.architecture,
            seed=seed + FRESH + number,
            name=f"trial {trial.number}, new seed {number}",
        )
        for number in range(1, AGAIN + 1)
        for trial in contenders
    ]
    outcomes = train_all(
        jobs, workers, journal, listener, leader=lambda done: _line(contenders[0], goal)
    )
    return [
        (trial.number, outcome.score)
        for outcome, trial in zip(outcomes, [*contenders] * AGAIN, strict=True)
        if outcome.score
    ]


def load_baseline(run: str | Path) -> Baseline:
    """The finished search of a run directory.

    Raises:
        InvalidSetting: if none is there.
        RunConflict: if its files are not readable.
    """
    step = Step(Path(run), STEP)
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
    step = Step(Path(run), STEP)
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


def _damaged(step: Step, problem: Exception) -> RunConflict:
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
    found = Step(Path(run), STEP).read()
    if found is None:
        raise InvalidSetting(
            f"{run} holds no search; begin with: autoscale search-baseline --run {run}"
        )
    return found


def trial_table(trials: Sequence[Trial], objective: Objective) -> pd.DataFrame:
    """One row for each trained design.

    Columns: trial, status, accuracy (share of validation images), macs, params, activations (one
    image), latency_ms (predicted, if it is what the search took for cost), seconds, on_front (no
    other is as accurate and cheaper), cause of a failure or a stop, then the choices of the space.
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
                **({"latency_ms": objective.cost(trial.architecture)} if objective.latency else {}),
                "seconds": round(told.seconds, 2) if told else None,
                "on_front": trial.number in members,
                "cause": trial.cause,
                **{f"accuracy_after_{n}": trial.rungs.get(n) for n in rungs},
                **trial.params,
            }
        )
    return pd.DataFrame(rows)


def _scores(steps: Sequence[Trial], chosen: Trial) -> list[Score]:
    """Every score of the network of `chosen`."""
    network = network_of(chosen.architecture)
    return [
        trial.score
        for trial in steps
        if trial.status == "finished" and trial.score and network_of(trial.architecture) == network
    ]


class Watch:
    """Counts trainings and tells the listener about them."""

    def __init__(
        self,
        history: Sequence[Trial],
        total: int,
        goal: Objective,
        listener: Listener,
        *,
        at_once: int = 1,
    ) -> None:
        self._trained = sum(trial.trained for trial in history)
        told = [trial.score or trial.partial for trial in history if trial.trained]
        self._seconds = [score.seconds for score in told if score]
        self._total = total
        self._at_once = at_once
        self._goal = goal
        self._standings = Standings(goal, history)
        self._failed = 0
        self._front: Front[tuple[float, float]] = Front(("maximize", "minimize"))
        for trial in history:
            self._count(trial)
        self._listener = listener

    def announce(self, name: str, count: int, space: SearchSpace, workers: Crew, seed: int) -> None:
        """Say what is about to happen and how long it will take."""
        left = self._total - self._trained
        if left <= 0:
            self._listener.notice(f"all {self._total} trainings are done already")
            return
        rng = random.Random(seed)
        drawn = [space.sample(rng) for _ in range(20)]
        seconds = workers.seconds(workers.trainer.estimate_seconds(drawn) / len(drawn) * left)
        kept = f", {self._trained} are kept from before" if self._trained else ""
        self._listener.notice(
            f"{left} trainings of {workers.trainer.recipe.epochs} epochs on {count:,} images of "
            f"{name}{kept}; about {duration(seconds)}"
        )

    def _count(self, trial: Trial) -> None:
        """Keep failures and the front up to date."""
        self._failed += trial.status == "failed"
        if trial.status == "finished" and trial.score:
            point = (trial.score.accuracy, self._goal.cost(trial.architecture))
            self._front.add(point, point)

    def saw(self, trial: Trial) -> None:
        """One more step was recorded."""
        if not trial.trained:
            return
        self._trained += 1
        self._standings.add(trial)
        self._count(trial)
        told = trial.score or trial.partial
        if told:
            self._seconds.append(told.seconds)
        leader = self._standings.best()
        left = self._total - self._trained
        self._listener.progress(
            Progress(
                done=self._trained,
                total=self._total,
                note=_line(trial, self._goal),
                best=_line(leader, self._goal) if leader else "none yet",
                seconds_left=statistics.mean(self._seconds) * left / self._at_once
                if self._seconds
                else None,
                failed=self._failed,
                front=tuple(
                    f"{accuracy:.3f} at {self._goal.show(price).removesuffix(' multiply-adds')}"
                    for accuracy, price in sorted(self._front, key=lambda point: point[1])
                ),
            )
        )


def _line(trial: Trial, goal: Objective) -> str:
    at = goal.show(goal.cost(trial.architecture))
    if trial.status == "stopped":
        return f"trial {trial.number}: {trial.cause}, at {at}"
    if trial.score is None:
        return f"trial {trial.number}: failed, {trial.cause}"
    return f"trial {trial.number}: accuracy {trial.score.accuracy:.3f} at {at}"
