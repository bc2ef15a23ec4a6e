"""Trainings, done one after the other, each kept as soon as it is done."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoscale.design.scalable import Network
from autoscale.errors import EvaluationFailed, RunConflict
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
    left = jobs[len(outcomes_from_journal(journal)) :]
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

    Args:
        propose: the next job, from the outcomes so far; None ends. It must depend on nothing else,
            so that a broken series goes on as the unbroken one would have.
        most: trainings at most; what progress counts up to.
        held_out: judge on the test images.
        leader: says in one line what is best so far.

    Raises:
        EvaluationFailed: if not one of the trainings succeeds.
        RunConflict: if `journal` holds a training that was not asked for.
    """
    kept = outcomes_from_journal(journal)[:most]
    outcomes: list[Outcome] = []
    while len(outcomes) < most and (job := propose(outcomes)) is not None:
        if len(outcomes) < len(kept):
            outcome = kept[len(outcomes)]
            if outcome.name not in ("", job.name):
                raise RunConflict(
                    f"{journal.path}:{len(outcomes) + 1}: holds {outcome.name!r} where "
                    f"{job.name!r} was due; choose another --run"
                )
            outcomes.append(outcome)
            continue
        try:
            score = trainer.score(job.network, seed=job.seed, held_out=held_out)
            outcome = Outcome(name=job.name, score=score)
        except EvaluationFailed as problem:
            outcome = Outcome(name=job.name, cause=str(problem))
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
            )
        )
    if not any(outcome.score for outcome in outcomes):
        raise EvaluationFailed(f"every training failed; the last: {outcomes[-1].cause}")
    return outcomes
