"""What an engine costs: throughput of 2 workers against 1, and the coordinator's time per trial.

    python experiments/reliability/engines.py local
    python experiments/reliability/engines.py ray

Trainings are a sleep of fixed time through the real boundary, so cores do not limit them. The
search around them is real and random; its study lives in memory and nothing is written. There are
as many workers as trials in flight: 64 of them take minutes to start on two cores.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.engines.cluster import on_ray
from autoscale.engines.engine import Engine, PooledEngine, closing
from autoscale.engines.local import local
from autoscale.jobs.search.spaces import load_space
from autoscale.search.engine import SearchPlan, search
from autoscale.search.objective import Objective, Score
from autoscale.search.rungs import TrainingResult
from autoscale.search.samplers import make_sampler

Job = tuple[Architecture, int]
ENGINES: dict[str, Callable[..., PooledEngine[Job, TrainingResult]]] = {
    "local": local,
    "ray": on_ray,
}
GOAL = Objective(kind="hard", target=2_000_000)


def make(seconds: float) -> Callable[[Job], TrainingResult]:
    """What sleeps in place of training."""

    def work(job: Job) -> TrainingResult:
        time.sleep(seconds)
        architecture, repetition = job
        counted = cost(architecture)
        accuracy = (hash((counted.macs, counted.params, repetition)) % 997) / 997
        return TrainingResult(
            Score(
                accuracy=accuracy,
                macs=counted.macs,
                params=counted.params,
                activations=counted.activations,
                seconds=seconds,
            )
        )

    return work


def seconds_of(engine: Engine[Job, TrainingResult], trials: int) -> float:
    """How long a search of so many trials takes with an engine that is up."""
    space = load_space("mbconv-small")

    def evaluate(architecture: Architecture, repetition: int) -> Future[TrainingResult]:
        return engine.submit((architecture, repetition))

    started = time.perf_counter()
    plan = SearchPlan(space=space, objective=GOAL, trials=trials, at_once=engine.places)
    steps = search(plan, make_sampler("random", seed=0), evaluate)
    assert sum(step.trained for step in steps) == trials
    return time.perf_counter() - started


def measured(name: str, workers: int, seconds: float, trials: int) -> float:
    """Seconds of a search, the start of the workers left out."""
    options = {"cpus": 0.01} if name == "ray" else {}
    with closing(ENGINES[name](make, seconds, workers=workers, **options)) as engine:
        seconds_of(engine, 2 * workers)  # all workers are up
        return seconds_of(engine, trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--in-flight", default="1,8,64", help="trials at once, comma-separated")
    asked = parser.parse_args()
    ratios = []
    for _ in range(asked.repeats):
        one, two = (measured(asked.engine, n, asked.seconds, 40) for n in (1, 2))
        ratios.append(one / two)
    print(
        f"{asked.engine}: 2 workers against 1, trainings of {asked.seconds:g} s: "
        f"{statistics.median(ratios):.3f}x ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    for workers in map(int, asked.in_flight.split(",")):
        trials = max(64, 4 * workers)
        over = []
        for _ in range(asked.repeats):
            took = measured(asked.engine, workers, 0.0, trials)
            over.append(1000 * took / trials)
        print(
            f"{asked.engine}: {workers} in flight: {statistics.median(over):.2f} ms a trial "
            f"({min(over):.2f} to {max(over):.2f}), proposal and telling included"
        )


if __name__ == "__main__":
    main()
