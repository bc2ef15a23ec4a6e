"""A worker of a search, in this process: it is given what a process of its own would be."""

import pickle
from dataclasses import replace
from pathlib import Path

from autoscale.jobs.search.result import load_proxy, load_trials
from autoscale.jobs.workers.pool import TrainingRequest, make_worker
from autoscale.search.objective import Score


def scores_of_a_worker(run: Path) -> tuple[list[Score], list[Score]]:
    """The scores of a search of different networks, and those of a worker that trains them again.

    Times are those of the former.
    """
    found = load_proxy(run).load(size=16)
    work = make_worker(pickle.loads(pickle.dumps(found.for_worker())))
    kept, again = [], []
    for trial in load_trials(run)[2]:
        assert trial.score is not None
        result = work(TrainingRequest(network=trial.architecture, seed=found.source.seed))
        kept.append(trial.score)
        again.append(replace(result.score, seconds=trial.score.seconds))
    assert kept
    return kept, again
