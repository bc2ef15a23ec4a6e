"""How good designs are with shared weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from autoscale.aspect import ImageSize
from autoscale.errors import InvalidSetting
from autoscale.jobs.shared.paths import Point, inside
from autoscale.jobs.workers.proxy import Proxy
from autoscale.metrics.predictions import Predictions
from autoscale.network.shared.weights import SharedWeights, Slices
from autoscale.network.threads import threads_of_torch
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.crops import resize
from autoscale.training.failures import TrainingDiverged
from autoscale.training.task import TrainingTask

#: Validation images that judge a design, at most, and that are passed together.
JUDGED, TOGETHER = 500, 64


class SharedScores:
    """Scores designs as slices of trained weights.

    The norms of a design go by the images that are passed together, some 64 validation images by
    chance: weights that many designs share have no statistics that suit one of them. That costs one
    pass, where taking statistics of training images first, as Guo et al. 2020 (SPOS), section 3.3,
    costs a second one.

    Args:
        task: that the weights were trained on; its seed chooses the images.

    Raises:
        InvalidSetting: if there is a single validation image.
    """

    def __init__(self, weights: SharedWeights, proxy: Proxy, task: TrainingTask) -> None:
        self._weights, self._proxy, self._task = weights, proxy, task
        self._slices = Slices(weights.space)
        validation = proxy.images.validation
        if len(validation) < 2:
            raise InvalidSetting(
                "shared weights are judged on 2 validation images at least, got 1; give more or "
                "leave --shared-weights out"
            )
        order = np.random.default_rng(task.seed).permutation(len(validation))
        self._judged = validation.subset(order[:JUDGED])

    @staticmethod
    def share(proxy: Proxy) -> float:
        """Of the validation images those that judge a design."""
        count = len(proxy.images.validation)
        return min(JUDGED, count) / count

    def of(self, point: Point) -> float:
        """The share of images that the point's network answers right, or the metric's share.

        Raises:
            TrainingDiverged: if it answers with numbers that are not finite.
        """
        with threads_of_torch(self._proxy.threads):
            inner = inside(self._weights, self._slices, point, "none")
            network = inner.network.to(self._proxy.runtime.device)
            inner.take()
            network.train()
            logits = np.concatenate(
                [*self._logits(network, self._task.preparation.image_size(inner.resolution))]
            )
        if not np.isfinite(logits).all():
            raise TrainingDiverged(
                "a design answers with numbers that are not finite; lower the learning rate (peak "
                f"{self._task.recipe.learning_rate:g}) or train longer"
            )
        found, metric = Predictions(self._judged.labels, logits), self._proxy.metric
        return float(found.right.mean() if metric is None else metric.quality(metric.of(found)))

    def _logits(self, network: nn.Module, size: ImageSize) -> Iterator[NDArray[np.float32]]:
        images, device = self._judged, self._proxy.runtime.device
        for some in np.array_split(np.arange(len(images)), -(-len(images) // TOGETHER)):
            pixels = resize(as_channels_last(images.pixels[some]), size)
            with torch.inference_mode():
                logits = network(normalised(pixels.to(device), self._task.preparation))
            yield logits.float().cpu().numpy()
