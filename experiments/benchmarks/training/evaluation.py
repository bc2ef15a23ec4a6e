"""What share of an epoch is its evaluation, with a fifth as many validation images?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/evaluation.py --data CIFAR10

One thread, compiled kernels. Each network is first trained in bfloat16 on images of the data, since
how many answers must be verified depends on what it has learned. Then steps of training and
evaluations take turns, and processor time of the thread is counted. The share is what evaluating
n / 5 images takes of that and training n: the median of the rounds' shares with the least and the
greatest, in percent. Trainings in bfloat16 are told twice: evaluated in float32 throughout, as they
once were, and by answers that are verified. Beside that: images evaluated, those of them that were
computed in float32 too, and answers that differ.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import torch
from precision import KERNELS, processor
from timed_steps import CASES
from torch import nn
from torch.nn import functional
from verified import compared

from autoscale.datasets.data import ImageData, Images, load
from autoscale.datasets.pictures.preparation import OURS
from autoscale.datasets.pictures.selection import Selection
from autoscale.design.architecture import Architecture
from autoscale.design.published import published
from autoscale.design.rounding import scale
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.runs.images import ImageCache
from autoscale.training.batches import as_channels_last, normalised, resized
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.fit import fit
from autoscale.training.optimizers import SGD
from autoscale.training.recipe import RECIPES
from autoscale.training.task import TrainingTask

ASKED = (CASES[0], CASES[4])
TRAINING_IMAGES_EACH, UNCOUNTED = 5, 1
STEPS = 8  # of training, a round


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="images to train on and to evaluate")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=4000, help="to train on")
    parser.add_argument("--validation", type=int, default=1000, help="at most, to evaluate")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--cases", default="0,1", help="0 is Lite0, 1 half of B0")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    print(json.dumps({"processor": processor(), "torch": torch.__version__}))
    for number in map(int, asked.cases.split(",")):
        name, width, pixels, together = ASKED[number]
        found = load(
            asked.data,
            size=pixels,
            selection=Selection(limit=asked.images, test=False),
            keep=ImageCache(),
        )
        kept = found.validation.subset(range(min(asked.validation, len(found.validation))))
        found = replace(found, validation=resized(kept, OURS.image_size(pixels)))
        design = replace(
            scale(published(name), width=width, resolution=pixels), num_classes=len(found.classes)
        )
        told = {"network": f"{width:g} x {name}", "pixels": pixels}
        print(json.dumps(told | measured(design, found, together, asked)), flush=True)


def measured(
    design: Architecture, found: ImageData, together: int, asked: argparse.Namespace
) -> dict[str, object]:
    """The shares, and what was verified."""
    torch.manual_seed(0)
    trained = build(design)
    recipe = replace(RECIPES["small-images"], epochs=asked.epochs, batch_size=32)
    task = TrainingTask(
        train=found.train,
        validation=found.validation,
        recipe=recipe,
        resolution=design.resolution,
        seed=0,
    )
    fit(accelerated(trained, KERNELS["bfloat16"]), task)
    ways: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {}
    for precision, kernels in KERNELS.items():
        network = accelerated(copy.deepcopy(trained), kernels)
        training = trains(copy.deepcopy(trained), kernels, found.train, together, design)
        for verified in (False, True) if precision == "bfloat16" else (False,):
            name = f"{precision}, verified" if verified else precision
            ways[name] = training, scores(network, found.validation, design, verified)
    shares: dict[str, list[float]] = {name: [] for name in ways}
    images = together * STEPS
    for number in range(UNCOUNTED + asked.rounds):
        for name, (train, score) in ways.items():
            step = TRAINING_IMAGES_EACH * spent(train) / images
            scoring = spent(score) / len(found.validation)
            if number >= UNCOUNTED:
                shares[name].append(100 * scoring / (step + scoring))
    told = {
        name: {"share": round(median(own), 1), "least": round(min(own), 1),
               "most": round(max(own), 1)}
        for name, own in shares.items()
    }  # fmt: skip
    bfloat16 = accelerated(trained, KERNELS["bfloat16"])
    agreement = compared(bfloat16, found.validation, design.resolution)
    return {**told, **agreement}


def trains(
    network: nn.Module, kernels: str, images: Images, together: int, design: Architecture
) -> Callable[[], None]:
    """Some steps, on the first images."""
    network = accelerated(network, kernels)
    optimizer = SGD(network.parameters(), lr=0.001, momentum=0.9, fused=True)
    first = images.subset(range(together * STEPS))
    first = resized(first, OURS.image_size(design.resolution))

    def train() -> None:
        network.train()
        for start in range(0, len(first), together):
            at = slice(start, start + together)
            logits = network(normalised(as_channels_last(first.pixels[at])))
            loss = functional.cross_entropy(logits, torch.from_numpy(first.labels[at]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return train


def scores(
    network: nn.Module, images: Images, design: Architecture, verified: bool
) -> Callable[[], None]:
    """One evaluation."""

    def score() -> None:
        evaluate(network, images, resolution=design.resolution, verified=verified)

    return score


def spent(work: Callable[[], None]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


if __name__ == "__main__":
    main()
