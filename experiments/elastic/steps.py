"""CPU-milliseconds of a step: of each member alone, and of the family together.

    OMP_NUM_THREADS=1 python experiments/elastic/steps.py

The members are those of `elastic.py`; 32 random images a step, the recipe `proxy`. A step together
trains the largest, the smallest and one of the others.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.design.rounding import PAPER, compound, fit_strides, rounding_policy
from autoscale.jobs.workers.kernels import accelerated, choose_kernels
from autoscale.listener import Silent
from autoscale.network.build import build
from autoscale.training.batches import batches
from autoscale.training.nested.inner import Inner
from autoscale.training.process_group import ALONE
from autoscale.training.recipe import RECIPES
from autoscale.training.state import TrainingState
from autoscale.training.task import TrainingTask

BASE = Path(__file__).with_name("base.yaml")
CLASSES, WARM_UP = 10, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--steps", type=int, default=6)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kernels = choose_kernels(asked.kernels, device="cpu", listener=Silent())
    base = fit_strides(Architecture.from_yaml(BASE.read_text(encoding="utf-8")))
    rounding = rounding_policy("nearest,divisor=4")
    designs = [compound(base, PAPER, phi, rounding=rounding) for phi in (0, 1, 2, 3)]
    apart = []
    for design in designs:
        network = ready(design, kernels)
        apart.append(milliseconds(network, task(design, asked.steps)))
        print(f"{design.resolution} pixels alone: {apart[-1]:.1f}")
    outer, largest = ready(designs[-1], kernels), designs[-1]
    inner = tuple(
        Inner(ready(design, kernels), outer, resolution=design.resolution)
        for design in designs[:-1]
    )
    together = milliseconds(outer, task(largest, asked.steps, inner))
    print(f"together: {together:.1f}, {together / sum(apart):.2f} of the sum alone")


def ready(design: Architecture, kernels: str) -> nn.Module:
    network = accelerated(build(design), kernels)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def task(design: Architecture, steps: int, inner: tuple[Inner, ...] = ()) -> TrainingTask:
    recipe, random = RECIPES["proxy"], np.random.default_rng(0)
    count, side = recipe.batch_size * (steps + WARM_UP), design.resolution
    images = Images(
        random.integers(0, 256, (count, side, side, 3), dtype=np.uint8),
        random.integers(0, CLASSES, count),
    )
    return TrainingTask(
        train=images, validation=images, recipe=recipe, resolution=side, seed=0, inner=inner
    )


def milliseconds(network: nn.Module, asked: TrainingTask) -> float:
    """Of this process, the mean of the steps after the first ones."""
    state, spent = TrainingState(network, asked, torch.device("cpu"), ALONE), []
    network.train()
    for batch in batches(asked, 1):
        begun = time.process_time()
        state.step([batch], learning_rate=1e-3)
        spent.append(1000 * (time.process_time() - begun))
    return float(np.mean(spent[WARM_UP:]))


if __name__ == "__main__":
    main()
