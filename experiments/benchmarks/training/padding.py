"""What does TensorFlow's padding cost a training step, against padding both ends alike?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/padding.py [--rounds 5]

EfficientNet-Lite0 and smaller ones of its kind, compiled kernels, one thread; the two paddings take
turns in every round. Prints the least processor time of a step in each and the median of the
rounds' ratios. Another tree's is `PYTHONPATH=TREE` before the same command.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
from torch.nn import functional

from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import ROUNDINGS, scale
from autoscale.design.style import Padding
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.build import build
from autoscale.network.kernels.accelerate import Accelerated

#: Width in Lite0's, pixels, images of a step.
CASES = ((0.35, 64, 32), (0.5, 96, 32), (0.7, 112, 32), (1.0, 128, 16))
PADDINGS: tuple[Padding, ...] = ("same", "symmetric")
STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for width, pixels, images in CASES:
        base = replace(published("efficientnet-lite0"), num_classes=10)
        design = scale(base, width=width, resolution=pixels, rounding=ROUNDINGS["tf"])
        steps = [step_of(design, padding, images) for padding in PADDINGS]
        rounds = [[least(step) for step in steps] for _ in range(asked.rounds)]
        same, symmetric = (min(times) for times in zip(*rounds, strict=True))
        ratios = sorted(one / other for one, other in rounds)
        print(
            f"{width:g} x Lite0, {pixels} pixels, {images} images: {1000 * same:.0f} ms against "
            f"{1000 * symmetric:.0f}, ratio {median(ratios):.2f} ({ratios[0]:.2f} to "
            f"{ratios[-1]:.2f})",
            flush=True,
        )


def step_of(design: Architecture, padding: Padding, images: int) -> Callable[[], None]:
    kernels = load_kernels("native")
    assert kernels is not None, "needs a C++ compiler"
    torch.manual_seed(0)
    network = Accelerated(build(design, padding=padding), kernels).train()
    pixels = torch.randn(images, 3, design.resolution, design.resolution)
    labels = torch.arange(images) % design.num_classes

    def step() -> None:
        functional.cross_entropy(network(pixels), labels).backward()
        network.zero_grad()

    step()
    return step


def least(step: Callable[[], None]) -> float:
    times = []
    for _ in range(STEPS):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
