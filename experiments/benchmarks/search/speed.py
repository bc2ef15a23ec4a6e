"""How long one suggestion takes after 400 and 2,000 finished trials.

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/speed.py --sampler guided

CPU milliseconds of ask and suggest, on one thread, in MnasNet's space of 42 choices: median,
mean and worst of 30 in a row. The worst includes learning the amplitudes again.
"""

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import create_trial

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import LANDSCAPES  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.design.architecture import Architecture  # noqa: E402
from autoscale.search.samplers import make_sampler  # noqa: E402


def suggestion_ms(task: Task, sampler: str, finished: int, repetitions: int = 30) -> np.ndarray:
    """CPU time of each of `repetitions` suggestions after `finished` random trials."""
    space, luck, rng = task.landscape.space, np.random.default_rng(0), random.Random(0)
    made = make_sampler(sampler, seed=0, space=space, known=task.known)
    study = optuna.create_study(directions=task.directions, sampler=made)
    distributions: dict[str, BaseDistribution] = {
        p.name: CategoricalDistribution(p.labels) for p in space.parameters
    }

    def values(architecture: Architecture) -> list[float]:
        return task.values(architecture, luck)

    drawn = [space.sample(rng) for _ in range(finished)]
    study.add_trials(
        [
            create_trial(params=space.params_of(a), distributions=distributions, values=values(a))
            for a in drawn
        ]
    )
    taken = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        trial = study.ask()
        architecture = space.suggest(trial)
        taken.append(1e3 * (time.process_time() - start))
        study.tell(trial, values(architecture))
    return np.array(taken[1:])  # the first one reads all designs for the first time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="guided")
    parser.add_argument("--landscape", choices=list(LANDSCAPES), default="mnasnet")
    parser.add_argument("--tasks", nargs="+", default=["single", "front"])
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    landscape = LANDSCAPES[asked.landscape]()
    for kind in asked.tasks:
        for finished in (400, 2000):
            taken = suggestion_ms(Task(kind, landscape), asked.sampler, finished)
            print(
                f"{asked.sampler} {asked.landscape} {kind}, {finished} finished: "
                f"median {np.median(taken):.1f} ms, mean {taken.mean():.1f} ms, "
                f"worst {taken.max():.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
