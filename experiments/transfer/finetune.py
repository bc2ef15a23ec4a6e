"""How well do a published network's weights serve photographs, and what of a fine-tuning helps?

See README.md. A row is a recipe: `finetune` with some of its fields changed.

python experiments/transfer/finetune.py clothing lite0.pth finetune.csv --rows "head alone" finetune
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from methods import note, test_images

from autoscale.datasets.data import ImageData, load
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.design.published import published
from autoscale.design.style import STYLES
from autoscale.jobs.workers.kernels import accelerated, choose_kernels, cutter
from autoscale.listener import Silent
from autoscale.network.build import Network, build
from autoscale.network.freeze import freeze
from autoscale.network.weights import load_weights
from autoscale.runs.images import ImageCache
from autoscale.runs.weights import read_weights
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.fit import fit
from autoscale.training.head.features import read_features
from autoscale.training.head.logistic import fit_head
from autoscale.training.parts import classifier_of
from autoscale.training.recipe import RECIPES
from autoscale.training.state import Epoch, Snapshot, best_epoch
from autoscale.training.task import Runtime, TrainingTask

PREPARATION = Preparation(deviation=(0.5, 0.5, 0.5), interpolation="bicubic")
STYLE = STYLES["tf"]
#: Changes of the recipe `finetune` by row; `freeze` and `dropout` are the network's, and 0 epochs
#: leave it at its fitted classifier.
ROWS: dict[str, dict[str, Any]] = {
    "head alone": {"epochs": 0},
    "finetune": {},
    "random head": {"head_first": False},
    "one rate": {"layer_decay": 1.0},
    "random head, one rate": {"head_first": False, "layer_decay": 1.0},
    "frozen norms": {"freeze": {"norms": True}},
    "frozen stem and 2 stages": {"freeze": {"stages": 2}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", nargs="+", default=[*ROWS], help=", ".join(ROWS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--change", type=json.loads, default={}, help="of every row, as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load(asked.data, size=asked.resolution, keep=ImageCache(), preparation=PREPARATION)
    for seed in asked.seeds:
        for row in asked.rows:
            changes = {**ROWS[row], **asked.change}
            found = trained(data, asked.weights, asked.resolution, seed=seed, changes=changes)
            note(asked.out, {"row": row, **asked.change, "seed": seed, **found})


def trained(
    data: ImageData, weights: str, resolution: int, *, seed: int, changes: dict[str, Any]
) -> dict[str, object]:
    """Accuracies of the best epoch, on validation images, and seconds."""
    reported = test_images(data)
    changes = dict(changes)
    frozen, dropout = changes.pop("freeze", {}), changes.pop("dropout", 0.0)
    head_alone = changes.get("epochs") == 0
    if head_alone:
        del changes["epochs"]
    task = TrainingTask(
        train=data.train,
        validation=data.validation,
        recipe=replace(RECIPES["finetune"], **changes),
        resolution=resolution,
        seed=seed,
        evaluate_after=range(1, changes.get("epochs", RECIPES["finetune"].epochs) + 1),
        preparation=PREPARATION,
    )
    begun = time.process_time()
    network = begin(weights, resolution, len(data.classes), seed=seed, dropout=dropout)
    freeze(network, **frozen)
    kernels = choose_kernels("auto", device="cpu", listener=Silent())
    module, runtime = accelerated(network, kernels), Runtime(cut=cutter(kernels))
    head = ""
    if task.recipe.head_first:
        fitted = fit_head(classifier_of(network), *read_features(module, task, runtime))
        head = f"{fitted.accuracy:.4f}"
    if head_alone:
        test = evaluate(module, reported, resolution=resolution, preparation=PREPARATION)
        return row_of(head, [], test, test, time.process_time() - begun)
    best: dict[str, torch.Tensor] = {}

    def keep(snapshot: Snapshot) -> None:
        print(f"  epoch {len(snapshot.epochs)}: {snapshot.epochs[-1].accuracy:.4f}", flush=True)
        if best_epoch(snapshot.epochs) is snapshot.epochs[-1]:
            best.update({name: tensor.clone() for name, tensor in snapshot.weights.items()})

    done = fit(module, task, runtime, keep=keep)
    seconds = time.process_time() - begun
    last = evaluate(module, reported, resolution=resolution, preparation=PREPARATION)
    module.load_state_dict(best)
    test = evaluate(module, reported, resolution=resolution, preparation=PREPARATION)
    return row_of(head, done.epochs, test, last, seconds)


def row_of(
    head: str, epochs: Sequence[Epoch], test: float, last: float, seconds: float
) -> dict[str, object]:
    return {
        "head": head,
        "validation": " ".join(f"{epoch.accuracy:.4f}" for epoch in epochs),
        "best": f"{best_epoch(epochs).accuracy:.4f}" if epochs else head,
        "test": f"{test:.4f}",
        "test_of_last": f"{last:.4f}",
        "cpu_seconds": f"{seconds:.0f}",
    }


def begin(weights: str, resolution: int, classes: int, *, seed: int, dropout: float) -> Network:
    """Lite0 with ImageNet's features and a new classifier."""
    design = replace(published("efficientnet-lite0"), resolution=resolution, num_classes=classes)
    torch.manual_seed(seed)
    network = build(design, dropout=dropout, **STYLE.options)
    load_weights(network, read_weights(weights).state)
    return network


if __name__ == "__main__":
    main()
