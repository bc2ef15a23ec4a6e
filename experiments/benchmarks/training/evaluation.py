"""What share of an epoch is its evaluation, with a fifth as many validation images?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/evaluation.py --rounds 7

One thread, compiled kernels, both precisions. Steps of training and evaluations take turns, and
processor time of the thread is counted. The share is what evaluating n / 5 images takes of that and
training n: the median of the rounds' shares with the least and the greatest, in percent.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from precision import CASES, CLASSES, KERNELS, processor
from torch.nn import functional

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.fit import EVALUATION_BATCH, evaluate
from autoscale.training.optimizers import SGD

ASKED = (CASES[0], CASES[4])
TRAINING_IMAGES_EACH, UNCOUNTED = 5, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"processor": processor(), "torch": torch.__version__}))
    for name, width, pixels, images in ASKED:
        design = replace(
            scale(published(name), width=width, resolution=pixels), num_classes=CLASSES
        )
        ways = {precision: both(design, images, kernels) for precision, kernels in KERNELS.items()}
        shares: dict[str, list[float]] = {precision: [] for precision in ways}
        for number in range(UNCOUNTED + asked.rounds):
            for precision, (train, score) in ways.items():
                training, scoring = TRAINING_IMAGES_EACH * spent(train), spent(score)
                if number >= UNCOUNTED:
                    shares[precision].append(100 * scoring / (training + scoring))
        told = {
            precision: {"share": round(median(found), 1), "least": round(min(found), 1),
                        "most": round(max(found), 1)}
            for precision, found in shares.items()
        }  # fmt: skip
        told_of = {"network": f"{width:g} x {name}", "pixels": pixels}
        print(json.dumps({**told_of, **told}), flush=True)


def both(
    design: Architecture, together: int, kernels: str
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Trains on, and evaluates, as many images as an evaluation takes together."""
    torch.manual_seed(0)
    network = accelerated(build(design), kernels)
    optimizer = SGD(network.parameters(), lr=0.02, momentum=0.9, fused=True)
    pixels = np.random.default_rng(0).integers(
        0, 256, (EVALUATION_BATCH, design.resolution, design.resolution, 3), dtype=np.uint8
    )
    images = Images(pixels, np.arange(len(pixels)) % CLASSES)

    def train() -> None:
        network.train()
        for first in range(0, len(pixels), together):
            at = slice(first, first + together)
            logits = network(normalised(as_channels_last(pixels[at])))
            loss = functional.cross_entropy(logits, torch.from_numpy(images.labels[at]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    def score() -> None:
        evaluate(network, images, resolution=design.resolution)

    return train, score


def spent(work: Callable[[], None]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


if __name__ == "__main__":
    main()
