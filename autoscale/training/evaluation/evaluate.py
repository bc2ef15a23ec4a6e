"""How often a network is right on images in memory, and its logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.metrics.predictions import Predictions, said_by
from autoscale.training.evaluation.passes import Passes
from autoscale.training.evaluation.verification import verified_answers
from autoscale.training.failures import TrainingDiverged
from autoscale.training.task import HERE, Runtime, TrainingTask

EVALUATION_BATCH = 256


def scored(
    network: nn.Module,
    task: TrainingTask,
    images: Images,
    *,
    runtime: Runtime = HERE,
    thresholds: NDArray[np.float64] | None = None,
    verified: bool = False,
) -> tuple[float, float | None]:
    """Accuracy on images as a task sees them, and the score of its metric if it has one.

    Args:
        thresholds: of classes of which an image may have several; None for 0.5 each.
        verified: as `answered_right` takes it, where accuracy is all that is asked for.

    Raises:
        TrainingDiverged: if the network answers a metric with numbers that are not finite.
    """
    if task.metric is None and thresholds is None:
        accuracy = evaluate(
            network,
            images,
            resolution=task.resolution,
            preparation=task.preparation,
            runtime=runtime,
            verified=verified,
        )
        return accuracy, None
    logits = logits_of(
        network,
        images,
        resolution=task.resolution,
        preparation=task.preparation,
        runtime=runtime,
    )
    if not np.isfinite(logits).all():
        raise TrainingDiverged(
            f"the network answers with numbers that are not finite; lower the learning rate (peak "
            f"{task.recipe.learning_rate:g}) or lengthen the warm-up"
        )
    found = Predictions(images.labels, logits, thresholds)
    return float(found.right.mean()), None if task.metric is None else task.metric.of(found)


def evaluate(
    network: nn.Module,
    images: Images,
    *,
    resolution: int,
    preparation: Preparation = OURS,
    batch_size: int = EVALUATION_BATCH,
    runtime: Runtime = HERE,
    verified: bool = False,
) -> float:
    """The fraction of `images`, in [0, 1], that are answered right: see `answered_right`.

    The network is moved to the device and switched to eval mode and back.

    Args:
        resolution: pixels in height of what the network sees; the preparation gives the width.
        preparation: its mean and deviation are what the network expects of its input.
        runtime: its peers share the images; all get the fraction of all of them.
        verified: as `answered_right` takes it.

    Raises:
        InvalidSetting: if `resolution` or `batch_size` is below 1, or the device is not there.
        DataProblem: if there are no images.
    """
    right = answered_right(
        network,
        images,
        resolution=resolution,
        preparation=preparation,
        batch_size=batch_size,
        runtime=runtime,
        verified=verified,
    )
    return runtime.peers.total(int(right.sum())) / len(images)


def answered_right(
    network: nn.Module,
    images: Images,
    *,
    resolution: int,
    preparation: Preparation = OURS,
    batch_size: int = EVALUATION_BATCH,
    runtime: Runtime = HERE,
    verified: bool = False,
) -> NDArray[np.bool_]:
    """Of each image whether its largest logit is that of its label; see `evaluate`.

    Where an image may have several classes: whether each has a probability of at least 0.5 if and
    only if the image has it.

    Args:
        verified: take a network's quicker way to compute, if it has one (see `Passes`), and verify
            its answers (see `verification`). Images that may have several classes, and devices
            other than a CPU, are left to the usual way.

    Returns:
        Truth values, one an image and in their order. Of peers each has those of its own batches
        and False elsewhere.
    """
    right = np.zeros(len(images), dtype=bool)
    with Passes(
        network,
        images,
        resolution=resolution,
        preparation=preparation,
        batch_size=batch_size,
        runtime=runtime,
    ) as passes:
        quick = passes.approximately if verified and not images.several else None
        if quick is not None and (batches := passes.batches):
            own = np.concatenate([np.arange(batch.start, batch.stop) for batch in batches])
            right[own] = verified_answers(own, quick, passes.logits).answers == images.labels[own]
            return right
        for batch in passes.batches:
            logits, labels = passes.batch(batch), images.labels[batch]
            if images.several:
                right[batch] = (said_by(logits.cpu().numpy()) == (labels > 0)).all(axis=1)
            else:
                right[batch] = logits.argmax(dim=1).cpu().numpy() == labels
    return right


def logits_of(
    network: nn.Module,
    images: Images,
    *,
    resolution: int,
    preparation: Preparation = OURS,
    batch_size: int = EVALUATION_BATCH,
    runtime: Runtime = HERE,
) -> NDArray[np.float32]:
    """The logits of each image; see `evaluate`.

    Returns:
        Shape (images, classes). All peers have those of all images.
    """
    found: NDArray[np.float32] | None = None
    with Passes(
        network,
        images,
        resolution=resolution,
        preparation=preparation,
        batch_size=batch_size,
        runtime=runtime,
    ) as passes:
        for batch in passes.batches:
            logits = passes.batch(batch)
            if found is None:
                found = np.zeros((len(images), logits.shape[1]), dtype=np.float32)
            found[batch] = logits.float().cpu().numpy()
    peers = runtime.peers
    # The first process has the first batch; one without any learns from it how many classes are.
    classes = round(peers.total(found.shape[1] if found is not None and peers.rank == 0 else 0))
    return peers.together(np.zeros((len(images), classes), np.float32) if found is None else found)
