"""Search a small baseline on the user's images."""

import secrets
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from autoscale.design.architecture import Architecture
from autoscale.errors import EvaluationFailed
from autoscale.jobs.curves import SearchCurves
from autoscale.jobs.search.confirm import choose
from autoscale.jobs.search.problem import SearchProblem
from autoscale.jobs.search.result import Baseline
from autoscale.jobs.search.search_progress import SearchProgress
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.search.stopping import epochs_spent
from autoscale.jobs.workers.pool import TrainingRequest, WorkerPool, worker_pool
from autoscale.listener import Listener, Silent
from autoscale.runs.records import trial_to_record, trials_from_journal
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.runs.tensorboard import require_tensorboard
from autoscale.search.dashboard import Copy, database, in_database, in_file, shown
from autoscale.search.engine import Trial, knowledge, search
from autoscale.search.rungs import RungCheck, TrainingResult
from autoscale.search.samplers import make_sampler
from autoscale.settings import takes_settings
from autoscale.training.chance import chance_warning


@takes_settings(SearchSettings)
def search_baseline(
    run: str | Path, settings: SearchSettings, *, listener: Listener | None = None
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
        max_cost: limits such as ["params=250K", "memory=256K"]; designs that break one are never
            trained.
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
        workers, trial_timeout, retries, engine, address, cpus_per_trial, gpus_per_trial: how many
            train at once and where, see `WorkerSettings`. Another call may change them.
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
    make_sampler(settings.sampler, seed=settings.seed)  # its package may be missing
    if settings.storage is not None:
        database(settings.storage)
    if settings.tensorboard:
        require_tensorboard()
    problem = SearchProblem.of(run, settings, listener or Silent())
    with problem.folder.locked():
        return _solve(problem)


def _solve(problem: SearchProblem) -> Baseline:
    """Search, or go on searching, choose the baseline and write it."""
    folder, listener = problem.folder, problem.listener
    journal = Journal(folder.file("trials.jsonl"))
    history = problem.record().begin(
        folder, journal, listener, read=lambda journal: trials_from_journal(journal, problem.space)
    )
    if sum(trial.trained for trial in history) < problem.settings.trials:
        folder.forget("baseline.yaml", "baseline.json")  # the choice is open again
    copies = _copies(problem, history)
    curves = (
        [SearchCurves(folder.path, problem.objective, history)]
        if problem.settings.tensorboard
        else []
    )
    with worker_pool(problem.settings, problem.proxy, folder, listener) as workers:
        trials = _search(problem, history, workers, journal, [*copies, *curves])
        _sum_up(problem, trials)
        winner, accuracies = choose(problem, trials, workers)
    _complete(copies, listener)
    _warn_of_chance(problem, accuracies)
    baseline = Baseline(
        trial=winner,
        accuracies=accuracies,
        trials=tuple(trials),
        objective=problem.objective,
        space=problem.space,
    )
    _write(folder, baseline)
    return baseline


def _search(
    problem: SearchProblem,
    history: Sequence[Trial],
    workers: WorkerPool,
    journal: Journal,
    copies: Sequence[Copy | SearchCurves],
) -> list[Trial]:
    """Every step of the search, those of `history` too; each is kept as soon as it is done."""
    seed, objective, settings = problem.seed, problem.objective, problem.settings
    progress = SearchProgress(problem, history, workers)
    progress.announce()

    def record(trial: Trial) -> None:
        journal.append(trial_to_record(trial))
        for copy in copies:
            copy.add(trial)
        progress.trial_finished(trial)

    def evaluate(
        architecture: Architecture, repetition: int, look: RungCheck | None = None
    ) -> Future[TrainingResult]:
        return workers.submit(
            TrainingRequest(network=architecture, seed=seed + repetition, look=look),
            name=f"{objective.show(objective.cost(architecture))}, seed {seed + repetition}",
        )

    return search(
        problem.space,
        objective,
        evaluate,
        trials=settings.trials,
        sampler=make_sampler(
            settings.sampler,
            seed=seed,
            space=problem.space,
            known=knowledge(objective, problem.limits),
        ),
        seed=seed,
        limits=problem.limits,
        rungs=problem.rungs,
        history=history,
        record=record,
        at_once=workers.at_once,
    )


def _copies(problem: SearchProblem, history: Sequence[Trial]) -> list[Copy]:
    """The copies of the search for Optuna's tools: in the run directory, and in a database."""
    folder, objective, notice = problem.folder, problem.objective, problem.listener.notice
    run, storage = folder.run.resolve().name, problem.settings.storage
    opened = [in_file(folder.file("optuna.journal"), run, objective)]
    if storage is not None:
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


def _sum_up(problem: SearchProblem, trials: Sequence[Trial]) -> None:
    """Say what a search did.

    Raises:
        EvaluationFailed: if no training succeeded.
    """
    notice, rungs = problem.listener.notice, problem.rungs
    trained = sum(trial.trained for trial in trials)
    if trained < problem.settings.trials:
        notice(f"no untried network is left in the space; {trained} were trained")
    if rungs:
        spent, all_epochs = epochs_spent(trials, rungs.epochs[-1])
        notice(
            f"{sum(t.status == 'stopped' for t in trials)} of {trained} trainings were stopped; "
            f"{spent} of {all_epochs} epochs were trained, {1 - spent / all_epochs:.0%} saved"
        )
    if not any(trial.score for trial in trials):
        raise EvaluationFailed(f"no training succeeded; the last failed: {trials[-1].cause}")


def _warn_of_chance(problem: SearchProblem, accuracies: Sequence[float]) -> None:
    images, mean = problem.proxy.images, sum(accuracies) / len(accuracies)
    if warning := chance_warning(mean, images.validation.labels, images.classes):
        problem.listener.notice(f"warning: {warning}")


def _write(folder: StepFolder, baseline: Baseline) -> None:
    """What the later steps, people and other programs read of a finished search."""
    write_text(folder.file("trials.csv"), baseline.table.to_csv(index=False))
    folder.write_result(
        "baseline.json", {"trial": baseline.trial.number, "accuracies": baseline.accuracies}
    )
    write_text(folder.file("baseline.yaml"), baseline.trial.architecture.to_yaml())
