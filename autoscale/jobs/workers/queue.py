"""Trainings, as many at once as there are workers, each kept as soon as it is done."""

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, replace

from autoscale.design.budget import several
from autoscale.errors import EvaluationFailed
from autoscale.jobs.workers.pool import TrainingRequest, WorkerPool
from autoscale.listener import Listener, Progress, duration
from autoscale.runs.records import Outcome, outcome_to_record, outcomes_from_journal
from autoscale.runs.store import Journal
from autoscale.scaling.scalable import Network
from autoscale.search.rungs import TrainingResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training that is to be done."""

    network: Network
    seed: int
    name: str  # how progress calls it
    key: str = ""  # tells it from the other trainings of a journal


#: The next job, from the outcomes so far, in the order in which they came, and the jobs at work.
Propose = Callable[[Sequence[Outcome], Sequence[Job]], Job | None]


def train_all(
    jobs: Sequence[Job],
    pool: WorkerPool,
    journal: Journal,
    listener: Listener,
    *,
    held_out: bool = False,
    purpose: str = "",
    leader: Callable[[Sequence[Outcome]], str],
) -> list[Outcome]:
    """The outcome of every job, in order; those that `journal` already holds are not done again,
    unless all of them failed.

    Args:
        held_out: judge on the test images.
        purpose: what the trainings are for, said before how many they are.
        leader: says in one line what is best of the outcomes so far, which are in the jobs' order.

    Raises:
        EvaluationFailed: if not one of the trainings succeeds.
    """
    jobs = [replace(job, key=str(number)) for number, job in enumerate(jobs)]
    done = _kept(journal)
    left = [job for job in jobs if job.key not in done]
    if left:
        kept = f", {len(jobs) - len(left)} are kept from before" if len(left) < len(jobs) else ""
        seconds = pool.seconds(pool.trainer.estimate_seconds([job.network for job in left]))
        plan = f"{several(len(left), 'training')}{kept}; about {duration(seconds)}"
        listener.notice(f"{purpose}; {plan}" if purpose else plan)

    def propose(outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
        begun = len(outcomes) + len(running)
        return jobs[begun] if begun < len(jobs) else None

    outcomes = train_while(
        propose,
        pool,
        journal,
        listener,
        most=len(jobs),
        held_out=held_out,
        leader=lambda found: leader(_in_order(found)),
    )
    return _in_order(outcomes)


def _kept(journal: Journal) -> dict[str, Outcome]:
    """What a journal holds, by key; nothing where all failed: they may not have been at fault, and
    there is nothing to go on from."""
    found = {outcome.key: outcome for outcome in outcomes_from_journal(journal)}
    return found if any(outcome.score for outcome in found.values()) else {}


def _in_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: int(outcome.key))


def train_while(
    propose: Propose,
    pool: WorkerPool,
    journal: Journal,
    listener: Listener,
    *,
    most: int,
    held_out: bool = False,
    leader: Callable[[Sequence[Outcome]], str],
) -> list[Outcome]:
    """The outcomes of the jobs that `propose` asks for, in the order in which they came.

    What `journal` holds of them, in whatever order, is not done again, unless all of it failed.

    Args:
        propose: asked for a job whenever a worker is free; None ends, if none is at work. It must
            depend on nothing but its arguments, so that a broken series goes on as the unbroken
            one would have.
        most: trainings at most; what progress counts up to.
        held_out: judge on the test images.
        leader: says in one line what is best so far.

    Raises:
        EvaluationFailed: if not one of the trainings succeeds.
        RunConflict: if `journal` is no journal of trainings.
    """
    kept = _kept(journal)
    outcomes: list[Outcome] = []
    running: dict[Future[TrainingResult], Job] = {}

    def finish(future: Future[TrainingResult]) -> None:
        job = running.pop(future)
        try:
            outcome = Outcome(key=job.key, score=future.result().score)
        except EvaluationFailed as problem:
            outcome = Outcome(key=job.key, cause=str(problem))
        journal.append(outcome_to_record(outcome))
        outcomes.append(outcome)
        timed = [o.score.seconds for o in outcomes if o.score]
        result = f"accuracy {outcome.score.accuracy:.3f}" if outcome.score else outcome.cause
        left = most - len(outcomes)
        listener.progress(
            Progress(
                done=len(outcomes),
                total=most,
                note=f"{job.name}: {result}",
                best=leader(outcomes),
                seconds_left=pool.seconds(statistics.mean(timed) * left) if timed else None,
                failed=sum(outcome.score is None for outcome in outcomes),
            )
        )

    try:
        while True:
            while len(running) < min(pool.at_once, most - len(outcomes)):
                job = propose(outcomes, list(running.values()))
                if job is None:
                    break
                if job.key in kept:
                    outcomes.append(kept[job.key])
                    continue
                order = TrainingRequest(network=job.network, seed=job.seed, held_out=held_out)
                running[pool.submit(order, name=job.name)] = job
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future in done]:
                finish(future)
    except BaseException:
        for future in list(running):  # what was done meanwhile
            if future.done() and not future.cancelled():
                with suppress(Exception):
                    finish(future)
        raise
    if not any(outcome.score for outcome in outcomes):
        raise EvaluationFailed(
            f"every training failed; the last: {outcomes[-1].cause}; the same command tries them "
            "again"
        )
    return outcomes
