"""Are predictions of designs that were never trained as sure as they should be?

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/calibration.py --landscape macro rugged

Searches by `guided` with fresh noise; after 25, 50 and 100 trainings the model of these predicts
designs that were not trained: random ones, and children of the eight that are expected to be best.
z is true mean minus predicted mean, in predicted standard deviations, both warped. A model that is
as sure as it should be has a z of mean 0 and standard deviation 1. Mean over searches of both.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import optuna

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import LANDSCAPES, Landscape  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.search.designs import Designs, Point  # noqa: E402
from autoscale.search.history import History  # noqa: E402
from autoscale.search.model.predictor import FittedModel, Predictor  # noqa: E402
from autoscale.search.samplers import make_sampler  # noqa: E402
from autoscale.search.samplers.guided import children  # noqa: E402

CHECKPOINTS = (25, 50, 100)
ASKED = 300  # designs of each kind


def z_scores(landscape: Landscape, learnt: FittedModel, points: list[Point]) -> np.ndarray:
    designs, warp = learnt.predictor.designs, learnt.warp
    trained = {designs.identity(point) for point in learnt.trained}
    new = [point for point in points if designs.identity(point) not in trained]
    truth = np.array([landscape.mean(designs.describe(point).design) for point in new])
    predicted = learnt.predict(new)
    # Above the ceiling there is no warped worth.
    warped = warp.forward(np.minimum(truth, warp.ceiling - 1e-3 * warp.span))
    return (warped - predicted.mean) / np.sqrt(predicted.variance)


def measure(name: str, seed: int) -> dict[tuple[int, str], np.ndarray]:
    """The z-scores of one search, by trainings and kind of design."""
    landscape = LANDSCAPES[name]().with_fresh_noise()
    task, space = Task("single", landscape), landscape.space
    sampler = make_sampler("guided", seed=seed, space=space, known=task.known)
    study = optuna.create_study(directions=task.directions, sampler=sampler)
    luck, rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    found = {}
    for number in range(1, max(CHECKPOINTS) + 1):
        trial = study.ask()
        study.tell(trial, task.values(space.suggest(trial), luck))
        if number not in CHECKPOINTS:
            continue
        designs = Designs.of_space(space)
        history = History.of(study.get_trials(deepcopy=False), study.directions, designs)
        learnt = Predictor(designs).learn(history.points, history.gains[:, 0])
        trained, mean, variance = learnt.of_trained()
        best = np.argsort(-learnt.expected(mean, variance), kind="stable")[:8]
        near = children(designs, [trained[row] for row in best], ASKED, rng)
        random = [designs.random(rng) for _ in range(ASKED)]
        for kind, points in (("random", random), ("near", list(dict.fromkeys(near)))):
            found[number, kind] = z_scores(landscape, learnt, points)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landscape", nargs="+", choices=list(LANDSCAPES), required=True)
    parser.add_argument("--repetitions", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=0)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| landscape | designs | " + " | ".join(map(str, CHECKPOINTS)) + " |\n|" + " --- |" * 5)
    for name in asked.landscape:
        scores: dict[tuple[int, str], list[np.ndarray]] = defaultdict(list)
        for seed in range(asked.first_seed, asked.first_seed + asked.repetitions):
            for key, z in measure(name, seed).items():
                scores[key].append(z)
        for kind in ("random", "near"):
            cells = []
            for number in CHECKPOINTS:
                several = scores[number, kind]
                mean = np.mean([z.mean() for z in several])
                cells.append(f"{mean:+.2f}, {np.mean([z.std() for z in several]):.2f}")
            print(f"| {name} | {kind} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
