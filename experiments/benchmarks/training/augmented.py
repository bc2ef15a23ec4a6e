"""What do mixup and RandAugment cost of a training's speed?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/augmented.py --rounds 20

EfficientNet-B0 at half its width on images of 64 pixels, by the recipe `full` (random-resized
crops of 80 pixels, batches of 64), compiled kernels, one thread. A step is all that a training does
for a batch: draw, cut, alter, pass, move. The ways take turns step by step, and processor time of
the thread is counted, so that other work on the machine disturbs them alike. Of each way: images a
second by the median, and the median of the rounds' ratios to the recipe as it is, with the least
and the greatest.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from statistics import median

import numpy as np
import torch

from autoscale.datasets.data import Images
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.workers.kernels import accelerated, cutter
from autoscale.network.build import build
from autoscale.training.batches import Batch, batches
from autoscale.training.process_group import ALONE
from autoscale.training.recipe import RECIPES
from autoscale.training.state import TrainingState
from autoscale.training.task import Runtime, TrainingTask

USUAL = "as it is"
WAYS: dict[str, dict[str, str | float]] = {
    USUAL: {},
    "mixup=0.2": {"mixup": 0.2},
    "mixup=0.2 augment=rand:2:9": {"mixup": 0.2, "augment": "rand:2:9"},
    "mixup=0.2 augment=trivial": {"mixup": 0.2, "augment": "trivial"},
    "cutmix=1 color_jitter=0.4 erasing=0.25": {"cutmix": 1.0, "color_jitter": 0.4, "erasing": 0.25},
}
PIXELS, STORED, CLASSES, IMAGES, UNCOUNTED = 64, 80, 100, 640, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"machine": platform.machine(), "torch": torch.__version__}))
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, STORED, STORED, 3), dtype=np.uint8)
    images = Images(pixels, np.arange(IMAGES) % CLASSES)
    steps = {way: step_of(way, images) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(UNCOUNTED + asked.rounds):
        for way, step in steps.items():
            began = time.thread_time()
            step()
            seconds[way].append(time.thread_time() - began)
    counted = {way: times[UNCOUNTED:] for way, times in seconds.items()}
    batch = RECIPES["full"].batch_size
    for way, times in counted.items():
        ratios = [usual / own for usual, own in zip(counted[USUAL], times, strict=True)]
        told = {
            "way": way,
            "images_per_second": round(batch / median(times), 1),
            "ratio": round(median(ratios), 3),
            "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        }
        print(json.dumps(told), flush=True)


def step_of(way: str, images: Images) -> Callable[[], None]:
    """A function that takes the next step of an endless training."""
    half = scale(published("efficientnet-b0"), width=0.5, resolution=PIXELS)
    torch.manual_seed(0)
    network = accelerated(build(replace(half, num_classes=CLASSES)), "native").train()
    recipe = replace(RECIPES["full"], **WAYS[way])  # type: ignore[arg-type]
    task = TrainingTask(train=images, validation=images, recipe=recipe, resolution=PIXELS, seed=0)
    runtime = Runtime(cut=cutter("native"))
    state = TrainingState(network, task, torch.device("cpu"), ALONE)

    def endless() -> Iterator[Batch]:
        for epoch in count(1):
            yield from batches(task, min(epoch, recipe.epochs), runtime)

    drawn = endless()

    def step() -> None:
        state.step([next(drawn)], learning_rate=0.01).item()

    return step


if __name__ == "__main__":
    main()
