"""Which of a search's best networks is the baseline: believed best, or trained again to be sure."""

import statistics
from collections.abc import Sequence

from autoscale.design.space import SearchSpace
from autoscale.jobs.search.search_progress import trial_line
from autoscale.jobs.workers.pool import WorkerPool
from autoscale.jobs.workers.queue import Job, train_all
from autoscale.listener import Listener
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.engine import Trial, believed_ranking
from autoscale.search.identity import network_of
from autoscale.search.objective import Objective, Score

#: Further seeds with which the best designs are trained.
AGAIN = 2

#: Added to the run's seed for them; the search itself repeats a network with the next seeds.
FRESH = 500


def choose(
    steps: Sequence[Trial],
    space: SearchSpace,
    goal: Objective,
    *,
    confirm: int,
    step: StepFolder,
    seed: int,
    workers: WorkerPool,
    listener: Listener,
) -> tuple[Trial, tuple[float, ...]]:
    """The baseline of a search by its first finished trial, and its accuracies, one a training.

    Args:
        confirm: train so many of those that are believed best with new seeds, and choose by the
            mean; 0 takes the one that is believed best.
    """
    contenders = believed_ranking(steps, space, goal, count=max(1, confirm))
    scores = {trial.number: _scores(steps, trial) for trial in contenders}
    winner = contenders[0]
    if confirm:
        trained = sum(trial.trained for trial in steps)
        journal = Journal(step.file(f"confirm-{confirm}-of-{trained}.jsonl"))
        for number, score in _again(contenders, goal, seed, workers, journal, listener):
            scores[number].append(score)
        winner = max(
            contenders,
            key=lambda trial: statistics.mean(
                goal.worth(score.accuracy, trial.architecture) for score in scores[trial.number]
            ),
        )
    return winner, tuple(score.accuracy for score in scores[winner.number])


def _again(
    contenders: Sequence[Trial],
    goal: Objective,
    seed: int,
    workers: WorkerPool,
    journal: Journal,
    listener: Listener,
) -> list[tuple[int, Score]]:
    """Train each contender with new seeds: its trial's number and the score, as often as it has."""
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
        jobs,
        workers,
        journal,
        listener,
        purpose=f"the {len(contenders)} best are trained with {AGAIN} more seeds each",
        leader=lambda done: trial_line(contenders[0], goal),
    )
    return [
        (trial.number, outcome.score)
        for outcome, trial in zip(outcomes, [*contenders] * AGAIN, strict=True)
        if outcome.score
    ]


def _scores(steps: Sequence[Trial], chosen: Trial) -> list[Score]:
    """Every score of the network of `chosen`."""
    network = network_of(chosen.architecture)
    return [
        trial.score
        for trial in steps
        if trial.status == "finished" and trial.score and network_of(trial.architecture) == network
    ]
