"""Does the controller learn? Its last 100 of 1,000 samples on NAS-Bench-Macro against its first.

It may repeat itself here, as the papers' controllers may: passing over known networks would empty
the best quarter of so small a space, and the last samples would be worse for it.

OMP_NUM_THREADS=1 python experiments/benchmarks/search/learning.py --repetitions 10
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import optuna

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from landscapes import macro  # noqa: E402

from autoscale.search.samplers.controller import ControllerSampler  # noqa: E402


def means(seed: int, samples: int) -> np.ndarray:
    """Mean accuracy, in points, of each sample in order."""
    landscape = macro()
    study = optuna.create_study(
        direction="maximize",
        sampler=ControllerSampler(seed=seed, space=landscape.space, new_only=False),
    )
    luck = np.random.default_rng([seed, 1])
    found = []
    for _ in range(samples):
        trial = study.ask()
        architecture = landscape.space.suggest(trial)
        study.tell(trial, landscape.show(architecture, luck))
        found.append(landscape.mean(architecture))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    gains = []
    for seed in range(asked.first_seed, asked.first_seed + asked.repetitions):
        found = means(seed, 1000)
        first, last = found[:100].mean(), found[-100:].mean()
        gains.append(last - first)
        print(f"seed {seed}: first 100 {first:.3f}, last 100 {last:.3f}", flush=True)
    error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    print(f"gain {np.mean(gains):.3f} ± {error:.3f} points over {len(gains)} seeds")


if __name__ == "__main__":
    main()
