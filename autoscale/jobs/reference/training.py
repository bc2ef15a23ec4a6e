"""Fine-tunes published networks for as many CPU-seconds as a candidate is trained."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoscale.errors import EvaluationFailed
from autoscale.jobs.equal_cost import decided_epochs, epochs_by_one
from autoscale.jobs.groups.workers import WorkerSettings
from autoscale.jobs.reference.network import ReferenceNetwork
from autoscale.jobs.reference.result import ReferenceScores
from autoscale.jobs.workers.pool import TrainingRequest, worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.listener import Listener, Silent
from autoscale.runs.records import Outcome, outcome_to_record
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.objective import Score

#: Files of a step: their trainings, and how many epochs were decided by which first epoch.
TRAININGS, EPOCHS = "rival-trainings.jsonl", "rival-epochs.jsonl"
#: The name under which a step notes its published networks, and an older one that a setting of the
#: grid has too.
NOTED, NOTED_BEFORE = "published_rivals", "rivals"


def notes_of(references: Sequence[ReferenceNetwork], judge: Proxy, *, seeds: int) -> dict[str, Any]:
    """What a step notes of its published networks, so that its trainings can be counted."""
    keys = [reference.key(judge) for reference in references]
    return {NOTED: {"keys": keys, "seeds": seeds}} if keys else {}


@dataclass(frozen=True, kw_only=True)
class ReferenceTrainings:
    """Trains published networks beside the candidates of a step.

    What the step's folder holds is not trained again.
    """

    settings: WorkerSettings
    folder: StepFolder
    listener: Listener
    judge: Proxy  # of the candidates, with its images
    seeds: Sequence[int]
    aim: float  # mean CPU-seconds of one candidate's training

    def scores(self, reference: ReferenceNetwork) -> ReferenceScores:
        """What its trainings came to; that some or all failed stands there too.

        Raises:
            DataProblem: if the images have changed.
        """
        ready = reference.proxy(self.judge, epochs=1).load(
            size=reference.architecture.resolution, test=self.judge.test, listener=Silent()
        )
        epochs, outcomes = None, []
        try:
            epochs = self._epochs(reference, ready)
            outcomes = self._trained(reference, ready, epochs)
            cause = next((outcome.cause for outcome in outcomes if not outcome.score), "")
        except EvaluationFailed as problem:
            cause = str(problem)
        if cause:
            self.listener.notice(f"warning: {reference.name}: {cause}")
        scores = {int(o.key.rpartition("/")[2]): o.score for o in outcomes if o.score}
        costs = [score.training_cost for score in scores.values()]
        return ReferenceScores(
            name=reference.name,
            pixels=reference.architecture.resolution,
            macs=int(reference.cost.macs),
            params=int(reference.cost.params),
            epochs=epochs,
            accuracies={seed: score.accuracy for seed, score in sorted(scores.items())},
            training_cost=statistics.mean(costs) if costs else None,
            cause=cause,
        )

    def _trained(self, reference: ReferenceNetwork, ready: Proxy, epochs: int) -> list[Outcome]:
        key = reference.key(self.judge)
        jobs = [
            Job(
                network=reference.architecture,
                seed=seed,
                name=f"{reference.name}, seed {seed}",
                key=f"{key}/{seed}",
            )
            for seed in self.seeds
        ]

        def propose(outcomes: Sequence[Outcome], running: Sequence[Job]) -> Job | None:
            begun = len(outcomes) + len(running)
            return jobs[begun] if begun < len(jobs) else None

        proxy = replace(ready, recipe=replace(ready.recipe, epochs=epochs))
        journal = Journal(self.folder.file(TRAININGS))
        with worker_pool(self.settings, proxy, self.folder, self.listener) as workers:
            return Trainings(workers, journal, self.listener, held_out=self.judge.test).proposed(
                propose, most=len(jobs), leader=_mean
            )

    def _epochs(self, reference: ReferenceNetwork, ready: Proxy) -> int:
        """Epochs of each training: decided by the first one, and the same ever after.

        Raises:
            EvaluationFailed: if the first fails.
        """
        key, journal = reference.key(self.judge), Journal(self.folder.file(EPOCHS))
        if (kept := decided_epochs(journal).get(key)) is not None:
            return kept
        self.listener.notice(f"{reference.label}: one epoch is trained to see what it costs")
        request = TrainingRequest(
            network=reference.architecture, seed=self.seeds[0], held_out=self.judge.test
        )
        with worker_pool(self.settings, ready, self.folder, self.listener) as workers:
            name = f"{reference.name}, one epoch"
            first = workers.submit(request, name=name).result().score
        epochs = epochs_by_one(self.aim, first)
        if epochs == 1:  # then that was the training with the first seed
            outcome = Outcome(key=f"{key}/{self.seeds[0]}", score=first)
            Journal(self.folder.file(TRAININGS)).append(outcome_to_record(outcome))
        journal.append(
            {
                "key": key,
                "name": reference.name,
                "epochs": epochs,
                "cpu_seconds_aimed_at": self.aim,
                "first_epoch": first.to_dict(),
            }
        )
        self.listener.notice(
            f"{reference.name} is fine-tuned for {epochs} epoch{'s' * (epochs != 1)}: one takes "
            f"{first.epoch_cpu_seconds or first.training_cost:.3g} CPU-seconds, a candidate's "
            f"training {self.aim:.3g}"
        )
        return epochs


def cost_of_one(scores: Sequence[Score]) -> float:
    """Mean CPU-seconds of one training."""
    return statistics.mean(score.training_cost for score in scores)


def _mean(outcomes: Sequence[Outcome]) -> str:
    found = [outcome.score.accuracy for outcome in outcomes if outcome.score]
    return f"mean {statistics.mean(found):.3f}" if found else "none yet"
