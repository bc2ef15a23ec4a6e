"""How much faster is fine-tuning where the first half of a network is frozen?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/frozen.py --rounds 9

EfficientNet-Lite0 at 128 pixels, batches of 32, one thread, compiled kernels: whole, and with the
stem and the first four of its seven stages frozen, which hold 8 of its 16 blocks. The ways take
turns step by step, and processor time of the thread is counted. Of each: images a second by the
median, and the median of the rounds' ratios to whole trainings in float32 with the least and the
greatest.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
from precision import KERNELS, processor
from timed_steps import CLASSES, images_of, stepping

from autoscale.design.published import published
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.network.freeze import freeze
from autoscale.training.parts import to_learn

PIXELS, IMAGES, STAGES, UNCOUNTED = 128, 32, 4, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"processor": processor(), "torch": torch.__version__}))
    ways = [(precision, stages) for stages in (None, STAGES) for precision in KERNELS]
    steps = [stepper(KERNELS[precision], stages) for precision, stages in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    for number in range(UNCOUNTED + asked.rounds):
        for step, found in zip(steps, seconds, strict=True):
            began = time.thread_time()
            step()
            if number >= UNCOUNTED:
                found.append(time.thread_time() - began)
    for (precision, stages), found in zip(ways, seconds, strict=True):
        ratios = [whole / own for whole, own in zip(seconds[0], found, strict=True)]
        told = {
            "precision": precision,
            "frozen stages": stages or 0,
            "images_per_second": round(IMAGES / median(found), 1),
            "ratio": round(median(ratios), 2),
            "least": round(min(ratios), 2),
            "most": round(max(ratios), 2),
        }
        print(json.dumps(told), flush=True)


def stepper(kernels: str, stages: int | None) -> Callable[[], float]:
    torch.manual_seed(0)
    design = replace(published("efficientnet-lite0"), resolution=PIXELS, num_classes=CLASSES)
    whole = build(design)
    if stages is not None:
        freeze(whole, stages=stages)
    network = accelerated(whole, kernels)
    to_learn(network)
    return stepping(network, *images_of(design, IMAGES))


if __name__ == "__main__":
    main()
