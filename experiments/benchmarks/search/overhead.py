"""What a search costs besides trainings and proposals, after 1,000 and 10,000 finished trials.

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/overhead.py

Milliseconds of wall clock and of CPU from the end of one training to the start of the next, as
`autoscale search-baseline` goes through them: tell the study, one durable line in trials.jsonl, a
copy into search/optuna.journal, progress, ask. The sampler is Optuna's random one, so that no
thinking is in it; trainings take no time. Median and worst of 30. Then seconds to go on with a
broken search of so many trials, and to find the front.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.jobs.search.result import trial_table
from autoscale.jobs.search.search_progress import SearchProgress
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.search.spaces import load_space
from autoscale.listener import Silent
from autoscale.runs.records import trial_to_record, trials_from_journal
from autoscale.runs.store import Journal
from autoscale.search.dashboard import Copy, in_file
from autoscale.search.engine import SearchPlan, Trial, search
from autoscale.search.objective import Objective, Score
from autoscale.search.pareto import front
from autoscale.search.samplers import make_sampler

STEPS = 30
SPACE = load_space("mnasnet")
GOAL = Objective(kind="front", target=300_000_000)


def score_of(architecture: Architecture, luck: random.Random) -> Score:
    counted = cost(architecture)
    accuracy = 0.1 * np.log10(counted.macs) - 0.3 + luck.gauss(0, 0.05)
    return Score(
        accuracy=float(np.clip(accuracy, 0, 1)),
        macs=counted.macs,
        params=counted.params,
        activations=counted.activations,
        seconds=1.0,
    )


def finished(count: int) -> list[Trial]:
    """So many random steps of a search."""
    rng = random.Random(0)
    drawn = [SPACE.sample(rng) for _ in range(count)]
    return [
        Trial(
            number=number,
            status="finished",
            params=SPACE.params_of(architecture),
            architecture=architecture,
            score=score_of(architecture, rng),
        )
        for number, architecture in enumerate(drawn)
    ]


def measure(count: int, folder: Path) -> None:
    journal, copy = Journal(folder / "trials.jsonl"), folder / "optuna.journal"
    before = finished(count)
    lines = [json.dumps(trial_to_record(trial)) + "\n" for trial in before]
    journal.path.write_text("".join(lines))
    open_study = in_file(copy, "overhead", GOAL)
    Copy(open_study, SPACE, GOAL, before, print)
    begun = time.perf_counter()
    history = trials_from_journal(journal, SPACE)
    mirror = Copy(open_study, SPACE, GOAL, history, print)
    problem: Any = SimpleNamespace(
        settings=SearchSettings(trials=count + STEPS), objective=GOAL, listener=Silent()
    )
    workers: Any = SimpleNamespace(seconds=lambda work: work)
    progress = SearchProgress(problem, history, workers)
    luck = random.Random(1)
    left: list[tuple[float, float]] = []  # the two clocks when a training ended
    taken: list[tuple[float, float]] = []
    started: list[float] = []

    def evaluate(architecture: Architecture, repetition: int) -> Score:
        clocks = time.perf_counter(), time.process_time()
        if left:
            taken.append((clocks[0] - left[-1][0], clocks[1] - left[-1][1]))
        else:
            started.append(clocks[0])
        score = score_of(architecture, luck)
        left.append((time.perf_counter(), time.process_time()))
        return score

    def record(trial: Trial) -> None:
        journal.append(trial_to_record(trial))
        mirror.add(trial)
        progress.trial_finished(trial)

    steps = search(
        SearchPlan(space=SPACE, objective=GOAL, trials=count + STEPS + 1),
        make_sampler("random", seed=0),
        evaluate,
        history=history,
        record=record,
    )
    wall, cpu = 1e3 * np.array(taken).T
    print(
        f"{count:,} finished: wall median {np.median(wall):.1f} ms, worst {wall.max():.1f} ms; "
        f"CPU median {np.median(cpu):.1f} ms, worst {cpu.max():.1f} ms; "
        f"to go on from disk {started[0] - begun:.1f} s",
        flush=True,
    )
    begun = time.perf_counter()
    members = front(
        [(trial.score.accuracy, GOAL.cost(trial.architecture)) for trial in steps if trial.score],
        GOAL.directions,
    )
    middle = time.perf_counter()
    trial_table(steps, GOAL)
    print(
        f"{count:,} finished: front of {len(members)} in {1e3 * (middle - begun):.1f} ms; "
        f"the table of all trials with it in {time.perf_counter() - middle:.2f} s",
        flush=True,
    )


def main() -> None:
    for count in (1000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            measure(count, Path(folder))


if __name__ == "__main__":
    main()
