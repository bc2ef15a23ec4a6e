"""Trainings, as many at once as there are workers, each kept as soon as it is done."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from autoscale.design.amounts import several
from autoscale.errors import EvaluationFailed
from autoscale.jobs.deadline import Deadline, Pacer
from autoscale.jobs.workers.pool import TrainingRequest, WorkerPool
from autoscale.listener import Listener, Progress, duration
from autoscale.runs.records import Outcome, outcome_to_record, outcomes_from_journal
from autoscale.runs.store import Journal
from autoscale.scaling.scalable import Network, cost_of
from autoscale.search.rungs import TrainingResult
from autoscale.search.work import work_off


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training that is to be done."""

    network: Network
    seed: int
    name: str  # how progress calls it
    key: str = ""  # tells it from the other trainings of a journal
    images: int | None = None  # train on a subset of so many, see `Proxy.within`
    epochs: int | None = None  # other than the recipe's


#: The next job, from the outcomes so far, in the order in which they came, and the jobs at work.
Propose = Callable[[Sequence[Outcome], Sequence[Job]], Job | None]


@dataclass(frozen=True)
class Trainings:
    """Trains jobs and keeps each outcome as soon as it is there.

    What the journal holds is not trained again, unless all of it failed.
    """

    pool: WorkerPool
    journal: Journal
    listener: Listener
    held_out: bool = False  # judge on the test images
    answers: bool = False  # keep which images each answered right
    pacer: Pacer | None = None  # whether one more may begin; None: always
    told: Callable[[Outcome], None] = lambda outcome: None  # of each outcome that the journal has

    def all(
        self, jobs: Sequence[Job], *, purpose: str = "", leader: Callable[[Sequence[Outcome]], str]
    ) -> list[Outcome]:
        """The outcome of every job, in order; of those that may begin, where there is a pacer.

        Args:
            purpose: what the trainings are for, said before how many they are.
            leader: says in one line what is best of the outcomes so far, which are in the jobs'
                order.

        Raises:
            EvaluationFailed: if not one of the trainings succeeds.
        """
        jobs = [replace(job, key=str(number)) for number, job in enumerate(jobs)]
        done = _kept(self.journal)
        if left := [job for job in jobs if job.key not in done]:
            kept = (
                f", {len(jobs) - len(left)} are kept from before" if len(left) < len(jobs) else ""
            )
            pool = self.pool
            seconds = pool.estimate([job.network for job in left])
            plan = f"{several(len(left), 'training')}{kept}; about {duration(seconds)}"
            self.listener.notice(f"{purpose}; {plan}" if purpose else plan)

        def propose(outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
            begun = len(outcomes) + len(running)
            return jobs[begun] if begun < len(jobs) else None

        outcomes = self.proposed(
            propose, most=len(jobs), leader=lambda found: leader(_in_order(found))
        )
        return _in_order(outcomes)

    def proposed(
        self, propose: Propose, *, most: int, leader: Callable[[Sequence[Outcome]], str]
    ) -> list[Outcome]:
        """The outcomes of the jobs that `propose` asks for, in the order in which they came.

        Args:
            propose: asked for a job whenever a worker is free; None ends, if none is at work. It
                must depend on nothing but its arguments, so that a broken series goes on as the
                unbroken one would have.
            most: trainings at most; what progress counts up to.
            leader: says in one line what is best so far.

        Raises:
            EvaluationFailed: if not one of the trainings succeeds.
            RunConflict: if the journal is none of trainings.
        """
        kept = _kept(self.journal)
        outcomes: list[Outcome] = []

        def begin(running: Sequence[Job]) -> tuple[Future[TrainingResult], Job] | None:
            while len(outcomes) + len(running) < most:
                job = propose(outcomes, running)
                if job is None:
                    return None
                if job.key not in kept:
                    if self.pacer and not self.pacer.allows():
                        return None
                    request = TrainingRequest(
                        network=job.network,
                        seed=job.seed,
                        held_out=self.held_out,
                        answers=self.answers,
                        images=job.images,
                        epochs=job.epochs,
                    )
                    return self.pool.submit(request, name=job.name), job
                outcomes.append(kept[job.key])
            return None

        def finish(job: Job, future: Future[TrainingResult]) -> None:
            try:
                outcome = Outcome(key=job.key, score=future.result().score)
            except EvaluationFailed as problem:
                outcome = Outcome(key=job.key, cause=str(problem))
            self.journal.append(outcome_to_record(outcome))
            self.told(outcome)
            outcomes.append(outcome)
            if self.pacer and outcome.score:
                self.pacer.took(outcome.score.seconds)
            self._tell(job, outcomes, most, leader(outcomes))

        work_off(begin, finish, at_once=self.pool.at_once)
        if not any(outcome.score for outcome in outcomes):
            raise EvaluationFailed(
                f"every training failed; the last: {outcomes[-1].cause}; the same command tries "
                "them again"
            )
        return outcomes

    def within(
        self, deadline: Deadline | None, networks: Sequence[Network], *, least: int = 1
    ) -> Trainings:
        """The same, of which none begins that would end too late.

        Args:
            networks: those that may be trained; the most expensive tells how long one takes, where
                the journal holds none.
            least: trainings without which there is no answer.

        Raises:
            InvalidSetting: if there is no time for these.
        """
        scores = [outcome.score for outcome in _kept(self.journal).values()]
        at_once, largest = self.pool.at_once, max(networks, key=lambda n: cost_of(n).macs)
        pacer = Pacer.of(
            deadline,
            measured=[score.seconds for score in scores if score],
            estimate=lambda: at_once * self.pool.estimate([largest]),
            least=-(-least // at_once),
        )
        return replace(self, pacer=pacer)

    def _tell(self, job: Job, outcomes: Sequence[Outcome], most: int, best: str) -> None:
        """Of the last outcome, which is that of `job`."""
        outcome, seconds = outcomes[-1], [o.score.seconds for o in outcomes if o.score]
        result = (
            outcome.score.told(self.pool.proxy.chosen.quality) if outcome.score else outcome.cause
        )
        left = most - len(outcomes)
        self.listener.progress(
            Progress(
                done=len(outcomes),
                total=most,
                note=f"{job.name}: {result}",
                best=best,
                seconds_left=self.pool.seconds(statistics.mean(seconds) * left)
                if seconds
                else None,
                failed=sum(outcome.score is None for outcome in outcomes),
            )
        )


def _kept(journal: Journal) -> dict[str, Outcome]:
    """What a journal holds, by key; nothing where all failed: they may not have been at fault, and
    there is nothing to go on from."""
    outcomes = {outcome.key: outcome for outcome in outcomes_from_journal(journal)}
    return outcomes if any(outcome.score for outcome in outcomes.values()) else {}


def _in_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: int(outcome.key))
