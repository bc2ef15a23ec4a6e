"""What would be found by those who know more than a search does, or who do not look where it does?

    OMP_NUM_THREADS=1 python experiments/benchmarks/search/oracles.py --landscape saturating

Regret of `single` of

    random 25   the best of 25 random networks, their means known
    largest     the network of the last level of every choice
    effects     the best by the effects of the single choices, as least squares over the means of
                4,000 random networks have them: all that can be known but for interactions
    24, 48, 99  the best by the mean of the model of `guided`, trained on so many random networks
                with noise of their own: no search, only a model (mean of 8 draws)
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import LANDSCAPES, Landscape  # noqa: E402
from tasks import Task  # noqa: E402

from autoscale.search.designs import Designs, Point  # noqa: E402
from autoscale.search.model.predictor import FittedModel, Predictor  # noqa: E402
from autoscale.search.samplers.ascent import ascend  # noqa: E402

COUNTS = (24, 48, 99)
DRAWS = 8


def regrets(landscape: Landscape) -> list[float]:
    designs = Designs.of_space(landscape.space)
    best = Task("single", landscape).reference["best"]
    rng = np.random.default_rng(5)

    def means(points: Sequence[Point]) -> np.ndarray:
        return np.array([landscape.mean(designs.describe(point).design) for point in points])

    def regret_of_best(merit: Callable[[Sequence[Point]], np.ndarray]) -> float:
        """Of the best that ascents from six random networks come to."""
        tops = [ascend(designs, designs.random(rng), merit, list, rng) for _ in range(6)]
        return float(best - means([tops[int(merit(tops).argmax())]])[0])

    sample = [designs.random(rng) for _ in range(4000)]
    worth = means(sample)
    effects = np.linalg.lstsq(_columns(designs, sample), worth, rcond=1e-8)[0]
    found = [
        float(np.mean([best - worth[row : row + 25].max() for row in range(0, 4000, 25)])),
        float(best - means([tuple(size - 1 for size in designs.sizes)])[0]),
        regret_of_best(lambda points: _columns(designs, points) @ effects),
    ]
    for count in COUNTS:
        of_draws = []
        for seed in range(1000, 1000 + DRAWS):
            luck = np.random.default_rng([seed, 1])
            points = [designs.random(luck) for _ in range(count)]
            scores = means(points) + luck.normal(0, landscape.noise or 0.0, count)
            learnt = Predictor(designs).learn(points, scores)
            of_draws.append(regret_of_best(partial(_predicted, learnt)))
        found.append(float(np.mean(of_draws)))
    return found


def _predicted(learnt: FittedModel, points: Sequence[Point]) -> np.ndarray:
    return learnt.predict(points).mean


def _columns(designs: Designs, points: Sequence[Point]) -> np.ndarray:
    return np.concatenate([np.ones((len(points), 1)), designs.codes(points)], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    formulas = [name for name in LANDSCAPES if name != "macro"]
    parser.add_argument("--landscape", nargs="+", choices=formulas, default=formulas)
    asked = parser.parse_args()
    heads = ["landscape", "random 25", "largest", "effects", *map(str, COUNTS)]
    print(f"| {' | '.join(heads)} |\n|" + " --- |" * len(heads))
    for name in asked.landscape:
        cells = " | ".join(f"{one:.2f}" for one in regrets(LANDSCAPES[name]()))
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
