"""Is the fast path as accurate as the plain loop? Networks trained both ways, seed by seed.

    python experiments/benchmarks/training/equality.py --data CIFAR10 --seeds 5
    python experiments/benchmarks/training/equality.py --data CIFAR10 --ways native,native-bfloat16

`plain` is a loop as a tutorial writes it: NCHW, torch's autograd, torch's SGD, the rate set each
step. `native` is `training.fit` with compiled kernels, channels-last; `native-bfloat16` the same
with maps and products in bfloat16. All start from the same weights and see the same batches, so
what differs is arithmetic and our code. The measure is the accuracy on validation images after the
last epoch, which is computed in float32.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from autoscale.datasets.data import load
from autoscale.datasets.pictures.selection import Selection
from autoscale.design.architecture import Architecture
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.runs.images import ImageCache
from autoscale.training.batches import batches, normalised, resized
from autoscale.training.fit import fit
from autoscale.training.recipe import RECIPES
from autoscale.training.task import TrainingTask

RESOLUTION = 16
DESIGN = Path(__file__).parents[2] / "scaling" / "mbconv.yaml"


def started(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build(Architecture.from_yaml(DESIGN.read_text()))


def plain(network: nn.Module, task: TrainingTask) -> float:
    """Accuracy after training in the plain way."""
    recipe = task.recipe
    train, validation = (
        resized(task.train, task.image_size),
        resized(task.validation, task.image_size),
    )
    task = replace(task, train=train)
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=recipe.momentum, nesterov=True)
    steps = len(train) // recipe.batch_size
    network.train()
    for epoch in range(1, recipe.epochs + 1):
        for step, batch in enumerate(batches(task, epoch)):
            progress = (epoch - 1 + (step + 0.5) / steps) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(progress)
            logits = network(normalised(batch.pixels.contiguous()))
            loss = functional.cross_entropy(logits, batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(validation.pixels).permute(0, 3, 1, 2).contiguous()
        guesses = network(normalised(pixels)).argmax(1)
    return float((guesses == torch.from_numpy(validation.labels)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="CIFAR-10, a folder of Parquet files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000, help="to train, and to validate")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--ways", default="plain,native", help="two, comma-separated")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    chosen = Selection(limit=asked.images, test=False)
    found = load(asked.data, size=32, selection=chosen, keep=ImageCache())
    validation = found.validation.subset(range(asked.images))
    recipe = replace(
        RECIPES["small-images"], epochs=asked.epochs, batch_size=32, learning_rate=0.05
    )
    one, other = asked.ways.split(",")
    accuracies: dict[str, list[float]] = {one: [], other: []}
    for seed in range(asked.seeds):
        task = TrainingTask(
            train=found.train,
            validation=validation,
            recipe=recipe,
            resolution=RESOLUTION,
            seed=seed,
        )
        for way, found_by_it in accuracies.items():
            if way == "plain":
                found_by_it.append(plain(started(seed), task))
            else:
                found_by_it.append(fit(accelerated(started(seed), way), task).accuracy)
        print(
            json.dumps({"seed": seed} | {k: round(v[-1], 4) for k, v in accuracies.items()}),
            flush=True,
        )
    differences = [f - p for p, f in zip(accuracies[one], accuracies[other], strict=True)]
    print(
        json.dumps(
            {
                "mean": {k: round(statistics.mean(v), 4) for k, v in accuracies.items()},
                "deviation": {k: round(statistics.stdev(v), 4) for k, v in accuracies.items()},
                "difference": round(statistics.mean(differences), 4),
                "standard_error": round(statistics.stdev(differences) / len(differences) ** 0.5, 4),
            }
        )
    )


if __name__ == "__main__":
    main()
