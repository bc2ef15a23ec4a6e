"""Search a small baseline on the user's images."""

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from autoscale.design.architecture import Architecture
from autoscale.errors import EvaluationFailed
from autoscale.jobs.clock import now
from autoscale.jobs.deadline import Deadline, Pacer, noted
from autoscale.jobs.groups.workers import WorkerSettings
from autoscale.jobs.search.agreement import agreement
from autoscale.jobs.search.confirm import AGAIN, choose
from autoscale.jobs.search.problem import SearchProblem
from autoscale.jobs.search.result import Baseline
from autoscale.jobs.search.search_progress import SearchProgress
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.tracked import SearchPoints, tracking_of
from autoscale.jobs.workers.pool import TrainingRequest, WorkerPool, worker_pool
from autoscale.listener import Listener, Silent
from autoscale.runs.records import trial_to_record, trials_from_journal
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.search.dashboard import Copy, in_file
from autoscale.search.engine import SearchPlan, Trial, knowledge, search
from autoscale.search.objective import Objective, floats_of
from autoscale.search.rungs import RungCheck, TrainingResult
from autoscale.search.samplers import make_sampler
from autoscale.settings.function import takes_settings
from autoscale.tracking.tracking import Tracking, require_trackers
from autoscale.training.chance import chance_warning


@takes_settings(SearchSettings, gone={"staff": WorkerSettings})
def search_baseline(
    run: str | Path, settings: SearchSettings, *, listener: Listener | None = None
) -> Baseline:
    """Train `trials` designs of the space and choose the baseline.

    The same call continues a broken search; a larger `trials` prolongs a finished one. With `hours`
    fewer are trained where they do not fit. The test images are not read.

    Args:
        run: the run directory; this step writes its `search` folder.
        listener: told of progress; by default nobody.

    Returns:
        The baseline, its accuracies, and a table of all trials.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    began = now()
    make_sampler(settings.sampler, seed=settings.seed)  # its package may be missing
    if settings.storage is not None:
        from autoscale.search.database import database

        database(settings.storage)
    require_trackers(settings.track)
    problem = SearchProblem.of(run, settings, listener or Silent())
    deadline = Deadline.of(settings.hours, problem.folder, problem.listener, since=began)
    tracking = tracking_of(problem.folder, settings, problem.listener)
    with problem.folder.locked(), noted(deadline), tracking:
        return _solve(replace(problem, listener=deadline or problem.listener), deadline, tracking)


def _solve(problem: SearchProblem, deadline: Deadline | None, tracking: Tracking) -> Baseline:
    """Search, or go on searching, choose the baseline and write it."""
    folder, listener, settings = problem.folder, problem.listener, problem.settings
    journal = Journal(folder.file("trials.jsonl"))
    history = problem.record().begin(
        folder, journal, listener, read=lambda journal: trials_from_journal(journal, problem.space)
    )
    problem.earlier.keep(folder)
    problem = problem.ranked(deadline)
    if sum(trial.trained for trial in history) < problem.settings.trials:
        folder.forget("baseline.yaml", "baseline.json")  # the choice is open again
    copies = _copies(problem, history)
    followers: list[Copy | _Told] = [*copies, _Told(tracking, problem.objective, history)]
    with worker_pool(problem.settings, problem.proxy, folder, listener) as workers:
        progress = SearchProgress(problem, history, workers)
        each = progress.announce()
        pacer = Pacer.of(
            deadline,
            measured=progress.seconds,
            estimate=lambda: each,
            behind=-(-AGAIN * settings.confirm // workers.at_once),
        )
        trials = _search(problem, history, workers, journal, progress, followers, pacer)
        ended = {"hours": settings.hours} if pacer is not None and pacer.ended else {}
        _sum_up(problem, trials, ended=bool(ended))
        winner, scores = choose(problem, trials, workers)
    _complete(copies, listener)
    shared = None
    if problem.shared is not None:
        shared = agreement(problem.shared, problem.space, trials)
    baseline = Baseline(
        trial=winner,
        accuracies=tuple(score.accuracy for score in scores),
        accuracies_float=floats_of(scores),
        qualities=tuple(score.quality for score in scores if score.quality is not None),
        trials=tuple(trials),
        objective=problem.objective,
        space=problem.space,
        shared=shared,
    )
    _warn_of_chance(problem, baseline.judged)
    _write(folder, baseline, ended)
    tracking.conclude(_answer(baseline))
    return baseline


class _Told:
    """Tells trackers of each step of a search, from those of `history` on."""

    def __init__(self, tracking: Tracking, objective: Objective, history: Sequence[Trial]) -> None:
        self._tracking, self._points = tracking, SearchPoints(objective)
        if tracking:
            tracking.begin([point for trial in history if (point := self._points.of(trial))])

    def add(self, trial: Trial) -> None:
        """One more step of the search."""
        if self._tracking and (point := self._points.of(trial)):
            self._tracking.add(point)


def _answer(baseline: Baseline) -> dict[str, float | str]:
    """What trackers are told of the choice."""
    score, quality = baseline.trial.score, baseline.objective.quality
    assert score is not None
    judged = sum(baseline.judged) / len(baseline.judged)
    return {
        "trial": baseline.trial.number,
        f"validation {quality.label}": judged,
        baseline.objective.measure.noun: baseline.objective.cost(baseline.trial.architecture),
        "parameters": score.params,
        "design": baseline.trial.architecture.to_yaml(),
    }


def _search(
    problem: SearchProblem,
    history: Sequence[Trial],
    workers: WorkerPool,
    journal: Journal,
    progress: SearchProgress,
    followers: Sequence[Copy | _Told],
    pacer: Pacer | None,
) -> list[Trial]:
    """Every step of the search, those of `history` too; each is kept as soon as it is done."""
    seed, objective, settings = problem.seed, problem.objective, problem.settings

    def record(trial: Trial) -> None:
        journal.append(trial_to_record(trial))
        for follower in followers:
            follower.add(trial)
        progress.trial_finished(trial)
        if pacer and trial.trained and trial.measured:
            pacer.took(trial.measured.seconds)

    def evaluate(
        architecture: Architecture, repetition: int, look: RungCheck | None = None
    ) -> Future[TrainingResult]:
        return workers.submit(
            TrainingRequest(network=architecture, seed=seed + repetition, look=look),
            name=f"{objective.show(objective.cost(architecture))}, seed {seed + repetition}",
        )

    plan = SearchPlan(
        space=problem.space,
        objective=objective,
        trials=settings.trials,
        seed=seed,
        limits=problem.limits,
        rungs=problem.rungs,
        at_once=workers.at_once,
    )
    sampler = make_sampler(
        settings.sampler,
        seed=seed,
        space=problem.space,
        known=knowledge(objective, problem.limits, problem.views),
    )
    limit: dict[str, Any] = {"may_begin": pacer.allows} if pacer else {}
    return search(plan, sampler, evaluate, history=history, record=record, **limit)


def _copies(problem: SearchProblem, history: Sequence[Trial]) -> list[Copy]:
    """The copies of the search for Optuna's tools: in the run directory, and in a database."""
    folder, objective, notice = problem.folder, problem.objective, problem.listener.notice
    run, storage = folder.run.resolve().name, problem.settings.storage
    opened = [in_file(folder.file("optuna.journal"), run, objective)]
    if storage is not None:
        from autoscale.search.database import database, in_database, shown

        kept = folder.read_result("study.json")
        if kept is None:  # one that no other run will have
            kept = {"study": f"{run}-{secrets.token_hex(4)}"}
            folder.write_result("study.json", kept)
        opened.append(in_database(storage, str(kept.get("study")), objective))
        notice(f"study {kept.get('study')} in {shown(database(storage))}")
    return [Copy(study, problem.space, objective, history, notice) for study in opened]


def _complete(copies: Sequence[Copy], listener: Listener) -> None:
    """Give the copies what they could not take before."""
    for copy in copies:
        if lacking := copy.catch_up():
            listener.notice(
                f"warning: the copy for Optuna's tools lacks {lacking} trials; the same command "
                "brings them"
            )


def _sum_up(problem: SearchProblem, trials: Sequence[Trial], *, ended: bool) -> None:
    """Say what a search did.

    Args:
        ended: whether its time did.

    Raises:
        EvaluationFailed: if no training succeeded.
    """
    notice, rungs = problem.listener.notice, problem.rungs
    trained = sum(trial.trained for trial in trials)
    if ended:
        notice(
            f"--hours {problem.settings.hours:g} ended the search after {trained} of "
            f"{problem.settings.trials} trainings; --trials {trained} repeats it"
        )
    elif trained < problem.settings.trials:
        notice(f"no untried network is left in the space; {trained} were trained")
    if rungs:
        spent, all_epochs = epochs_spent(trials, rungs.epochs[-1])
        notice(
            f"{sum(t.status == 'stopped' for t in trials)} of {trained} trainings were stopped; "
            f"{spent} of {all_epochs} epochs were trained, {1 - spent / all_epochs:.0%} saved"
        )
    for view in problem.earlier.views:
        if found := agreement(view, problem.space, trials):
            notice(f"the search in {view.name} foretells scores here with {found.told}")
    if not any(trial.score for trial in trials):
        raise EvaluationFailed(f"no training succeeded; the last failed: {trials[-1].cause}")


def epochs_spent(trials: Sequence[Trial], epochs: int) -> tuple[int, int]:
    """Epochs that were trained, and that would have been without stopping; broken ones left out."""
    kept = [trial for trial in trials if trial.status in ("finished", "stopped")]
    spent = sum(epochs if trial.score else max(trial.rungs) for trial in kept)
    return spent, epochs * len(kept)


def _warn_of_chance(problem: SearchProblem, judged: Sequence[float]) -> None:
    images, mean = problem.proxy.images, sum(judged) / len(judged)
    metric = problem.proxy.metric
    reached = mean if metric is None else metric.of_quality(mean)
    labels = images.validation.labels
    if warning := chance_warning(reached, labels, images.classes, metric=metric):
        problem.listener.notice(f"warning: {warning}")


def _write(folder: StepFolder, baseline: Baseline, ended: Mapping[str, Any]) -> None:
    """What the later steps, people and other programs read of a finished search.

    Args:
        ended: the hours, if they ended it before all networks were trained.
    """
    write_text(folder.file("trials.csv"), baseline.table.to_csv(index=False))
    folder.write_result(
        "baseline.json",
        {
            "trial": baseline.trial.number,
            "accuracies": baseline.accuracies,
            **({"accuracies_float": floats} if (floats := baseline.accuracies_float) else {}),
            **({"qualities": qualities} if (qualities := baseline.qualities) else {}),
            **({"shared_weights": asdict(shared)} if (shared := baseline.shared) else {}),
            **({"trained": sum(t.trained for t in baseline.trials), **ended} if ended else {}),
        },
    )
    write_text(folder.file("baseline.yaml"), baseline.trial.architecture.to_yaml())
