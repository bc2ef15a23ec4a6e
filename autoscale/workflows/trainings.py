"""A list of trainings, done one after the other, each kept as soon as it is done."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoscale.design.architecture import Architecture
from autoscale.errors import EvaluationFailed
from autoscale.runs.records import Outcome, outcome_to_record, outcomes_from_journal
from autoscale.runs.store import Journal
from autoscale.workflows.evaluate import Trainer
from autoscale.workflows.progress import Listener, Progress, duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training that is to be done."""

    architecture: Architecture
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
    outcomes = outcomes_from_journal(journal)[: len(jobs)]
    left = jobs[len(outcomes) :]
    if left:
        kept = f", {len(outcomes)} are kept from before" if outcomes else ""
        seconds = trainer.estimate_seconds([job.architecture for job in left])
        listener.notice(f"{len(left)} trainings{kept}; about {duration(seconds)}")
    for job in left:
        try:
            score = trainer.score(job.architecture, seed=job.seed, held_out=held_out)
            outcome = Outcome(score=score)
        except EvaluationFailed as problem:
            outcome = Outcome(cause=str(problem))
        journal.append(outcome_to_record(outcome))
        outcomes.append(outcome)
        timed = [o.score.seconds for o in outcomes if o.score]
        result = f"accuracy {outcome.score.accuracy:.3f}" if outcome.score else outcome.cause
        listener.progress(
            Progress(
                done=len(outcomes),
                total=len(jobs),
                note=f"{job.name}: {result}",
                best=leader(outcomes),
                seconds_left=statistics.mean(timed) * (len(jobs) - len(outcomes))
                if timed
                else None,
            )
        )
    if not any(outcome.score for outcome in outcomes):
        raise EvaluationFailed(f"every training failed; the last: {outcomes[-1].cause}")
    return outcomes
