"""How good a network is on images in memory: accuracy, and a metric's score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.metrics.predictions import Predictions
from autoscale.training.evaluation.evaluation_set import EVALUATION_BATCH, EvaluationSet
from autoscale.training.failures import TrainingDiverged
from autoscale.training.task import HERE, Runtime, TrainingTask


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
        verified: as `EvaluationSet.answered_right` takes it, where accuracy is all that is asked
            for.

    Raises:
        TrainingDiverged: if the network answers a metric with numbers that are not finite.
    """
    shown = EvaluationSet.of(task, images, runtime=runtime)
    if task.metric is None and thresholds is None:
        return shown.accuracy(network, verified=verified), None
    logits = shown.logits(network)
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
    verified: bool = False,
) -> float:
    """`EvaluationSet.accuracy`, on this machine's CPU."""
    shown = EvaluationSet(
        images=images, resolution=resolution, preparation=preparation, batch_size=batch_size
    )
    return shown.accuracy(network, verified=verified)
