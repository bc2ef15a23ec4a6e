"""Trainings, done one after the other, each kept as soon as it is done."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autoscale.design.scalable import Network
from autoscale.errors import EvaluationFailed
from autoscale.runs.records import Outcome, outcome_to_record, outcomes_from_journal
from autoscale.runs.store import Journal
from autoscale.workflows.evaluate import Trainer
from autoscale.workflows.progress import Listener, Progress, duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training that is to be done."""

    network: Network
    seed: int
    name: str  # how progress calls it
    key: str = ""  # tells it from the other trainings of a journal


def train_all(
    jobs: Sequence[Job],
    trainer: Trainer,
    journal: Journal,
    listener: Listener,
    *,
    held_out: bool = False,
    leader: Callable[[Sequence[Outcome]], str],
) -> list[Outcome]:
    """The outcome of every job, in order; those that `journal` already holds are not done again.

    Args:
        held_out: judge on the test images.
        leader: says in one line what is best so far.

    Raises:
        EvaluationFailed: if not one of the trainings succeeds.
    """
    jobs = [replace(job, key=str(number)) for number, job in enumerate(jobs)]
    done = {outcome.key for outcome in outcomes_from_journal(journal)}
    left = [job for job in jobs if job.key not in done]
    if left:
        kept = f", {len(jobs) - len(left)} are kept from before" if len(left) < len(jobs) else ""
        seconds = trainer.estimate_seconds([job.network for job in left])
        listener.notice(f"{len(left)} trainings{kept}; about {duration(seconds)}")
    return train_while(
        lambda done: jobs[len(done)] if len(done) < len(jobs) else None,
        trainer,
        journal,
        listener,
        most=len(jobs),
        held_out=held_out,
        leader=leader,
    )


def train_while(
    propose: Callable[[Sequence[Outcome]], Job | None],
    trainer: Trainer,
    journal: Journal,
    listener: Listener,
    *,
    most: int,
    held_out: bool = False,
    leader: Callable[[Sequence[Outcome]], str],
) -> list[Outcome]:
    """The outcomes of the jobs that `propose` asks for, one after the other.

    What `journal` holds of them, in whatever order, is not done again.

    Args:
        propose: the next job, from the outcomes so far; None ends. It must depend on nothing else,
            so that a broken series goes on as the unbroken one would have.
        most: trainings at most; what progress counts up to.
        held_out: judge on the test images.
        leader: says in one line what is best so far.

    Raises:
        EvaluationFailed: if not one of the trainings succeeds.
        RunConflict: if `journal` is no journal of trainings.
    """
    kept = {outcome.key: outcome for outcome in outcomes_from_journal(journal)}
    outcomes: list[Outcome] = []
    while len(outcomes) < most and (job := propose(outcomes)) is not None:
        if job.key in kept:
            outcomes.append(kept[job.key])
            continue
        try:
            score = trainer.score(job.network, seed=job.seed, held_out=held_out)
            outcome = Outcome(key=job.key, score=score)
        except EvaluationFailed as problem:
            outcome = Outcome(key=job.key, cause=str(problem))
        journal.append(outcome_to_record(outcome))
        outcomes.append(outcome)
        timed = [o.score.seconds for o in outcomes if o.score]
        result = f"accuracy {outcome.score.accuracy:.3f}" if outcome.score else outcome.cause
        listener.progress(
            Progress(
                done=len(outcomes),
                total=most,
                note=f"{job.name}: {result}",
                best=leader(outcomes),
                seconds_left=statistics.mean(timed) * (most - len(outcomes)) if timed else None,
                failed=sum(outcome.score is None for outcome in outcomes),
            )
        )
    if not any(outcome.score for outcome in outcomes):
        raise EvaluationFailed(f"every training failed; the last: {outcomes[-1].cause}")
    return outcomes
