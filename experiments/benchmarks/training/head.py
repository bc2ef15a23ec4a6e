"""How long does a classifier alone take on features that a network gave once?

    OMP_NUM_THREADS=1 python experiments/benchmarks/training/head.py --data CLOTHING

EfficientNet-Lite0 at 128 pixels with weights as they are drawn, one thread, compiled kernels. An
epoch is one loss and gradient of all training images and their mirror images; a fit takes some
hundreds for its whole path of penalties. Processor seconds of the thread.
"""

import argparse
import json
import time
from dataclasses import replace

import torch
from precision import processor

from autoscale.datasets.data import load
from autoscale.datasets.pictures.selection import Selection
from autoscale.design.published import published
from autoscale.jobs.workers.kernels import accelerated
from autoscale.network.build import build
from autoscale.runs.images import ImageCache
from autoscale.training.head.features import read_features
from autoscale.training.head.logistic import Path, Scaled, fit_head
from autoscale.training.parts import classifier_of
from autoscale.training.recipe import RECIPES
from autoscale.training.task import TrainingTask

PIXELS, EPOCHS = 128, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder of images by class")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = load(asked.data, size=PIXELS, selection=Selection(test=False), keep=ImageCache())
    classes = int(found.train.labels.max()) + 1
    design = replace(published("efficientnet-lite0"), resolution=PIXELS, num_classes=classes)
    torch.manual_seed(0)
    network = accelerated(build(design), "native")
    task = TrainingTask(
        train=found.train,
        validation=found.validation,
        recipe=RECIPES["proxy"],
        resolution=PIXELS,
        seed=0,
    )
    began = time.thread_time()
    train, validation = read_features(network, task)
    read = time.thread_time()
    path = Path([Scaled(train).features], classes)
    started = time.thread_time()
    for _ in range(EPOCHS):
        path.loss().backward()
    passed = time.thread_time()
    head = fit_head(classifier_of(network), train, validation)
    fitted = time.thread_time()
    told = {
        "processor": processor(),
        "images": len(found.train),
        "rows": len(train.rows),
        "features": train.rows.shape[1],
        "classes": classes,
        "seconds of the pass": round(read - began, 2),
        "seconds of an epoch": round((passed - started) / EPOCHS, 4),
        "seconds of the fit": round(fitted - passed, 2),
        "penalty": head.penalty,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
