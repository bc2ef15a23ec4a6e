"""Which of a search's best networks is the baseline: by the estimates, or trained again."""

import statistics
from collections.abc import Sequence

from autoscale.jobs.search.problem import SearchProblem
from autoscale.jobs.search.search_progress import trial_line
from autoscale.jobs.workers.pool import WorkerPool
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.runs.store import Journal
from autoscale.search.engine import Trial, predicted_ranking
from autoscale.search.identity import network_of
from autoscale.search.objective import Score

#: Further seeds with which the best designs are trained.
AGAIN = 2

#: Added to the run's seed for them; the search itself repeats a network with the next seeds.
FRESH = 500


def choose(
    problem: SearchProblem, trials: Sequence[Trial], workers: WorkerPool
) -> tuple[Trial, tuple[Score, ...]]:
    """The baseline of a search by its first finished trial, and its scores, one a training.

    Where the settings ask to confirm some, so many of those with the best estimates are trained
    with new seeds, and the mean decides; else it is the one with the best estimate.
    """
    confirm, objective = problem.settings.confirm, problem.objective
    best = predicted_ranking(
        trials,
        problem.space,
        objective,
        count=max(1, confirm),
        views=problem.views,
    )
    scores = {trial.number: _scores(trials, trial) for trial in best}
    winner = best[0]
    if confirm:
        trained = sum(trial.trained for trial in trials)
        journal = Journal(problem.folder.file(f"confirm-{confirm}-of-{trained}.jsonl"))
        for number, score in _train_again(problem, best, workers, journal):
            scores[number].append(score)
        winner = max(
            best,
            key=lambda trial: statistics.mean(
                objective.worth(score.judged, trial.architecture) for score in scores[trial.number]
            ),
        )
    return winner, tuple(scores[winner.number])


def _train_again(
    problem: SearchProblem, best: Sequence[Trial], workers: WorkerPool, journal: Journal
) -> list[tuple[int, Score]]:
    """Train each with new seeds: its trial's number and the score, as often as it has."""
    jobs = [
        Job(
            network=trial.architecture,
            seed=problem.seed + FRESH + number,
            name=f"trial {trial.number}, new seed {number}",
        )
        for number in range(1, AGAIN + 1)
        for trial in best
    ]
    outcomes = Trainings(workers, journal, problem.listener).all(
        jobs,
        purpose=f"the {len(best)} best are trained with {AGAIN} more seeds each",
        leader=lambda done: trial_line(best[0], problem.objective),
    )
    return [
        (trial.number, outcome.score)
        for outcome, trial in zip(outcomes, [*best] * AGAIN, strict=True)
        if outcome.score
    ]


def _scores(trials: Sequence[Trial], chosen: Trial) -> list[Score]:
    """Every score of the network of `chosen`."""
    network = network_of(chosen.architecture)
    return [
        trial.score
        for trial in trials
        if trial.status == "finished" and trial.score and network_of(trial.architecture) == network
    ]
