"""How good designs are with shared weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoscale.jobs.shared.paths import Point, inside
from autoscale.jobs.workers.proxy import Proxy
from autoscale.metrics.predictions import Predictions
from autoscale.network.inheritance.recalibrate import recalibrate
from autoscale.network.shared.weights import SharedWeights, Slices
from autoscale.network.threads import threads_of_torch
from autoscale.training.batches import as_channels_last, batches, normalised
from autoscale.training.crops import resize
from autoscale.training.failures import TrainingDiverged
from autoscale.training.task import TrainingTask

#: Training images by which each design's norms are set, at least; validation images that judge it,
#: at most, and images that are passed together.
STATISTICS, JUDGED, TOGETHER = 256, 500, 64


class SharedScores:
    """Scores designs as slices of trained weights.

    The norms of each have statistics of their own, of the same augmented training images. Source:
    Guo et al. 2020 (SPOS), section 3.3.

    Args:
        task: that the weights were trained on; its seed chooses the images.
    """

    def __init__(self, weights: SharedWeights, proxy: Proxy, task: TrainingTask) -> None:
        self._weights, self._proxy, self._task = weights, proxy, task
        self._slices = Slices(weights.space)
        validation = proxy.images.validation
        order = np.random.default_rng(task.seed).permutation(len(validation))
        self._judged = validation.subset(order[:JUDGED])
        count = -(-STATISTICS // task.recipe.batch_size)
        drawn = batches(task, task.recipe.epochs, proxy.runtime)
        self._seen = tuple(batch.pixels for batch in islice(drawn, count))

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
            recalibrate(network, self._batches(inner.resolution))
            network.eval()
            logits = np.concatenate([*self._logits(network, inner.resolution)])
        if not np.isfinite(logits).all():
            raise TrainingDiverged(
                "a design answers with numbers that are not finite; lower the learning rate (peak "
                f"{self._task.recipe.learning_rate:g}) or train longer"
            )
        found, metric = Predictions(self._judged.labels, logits), self._proxy.metric
        return float(found.right.mean() if metric is None else metric.quality(metric.of(found)))

    def _logits(self, network: nn.Module, resolution: int) -> Iterator[NDArray[np.float32]]:
        images, device = self._judged, self._proxy.runtime.device
        for some in np.array_split(np.arange(len(images)), -(-len(images) // TOGETHER)):
            pixels = resize(as_channels_last(images.pixels[some]), resolution)
            with torch.inference_mode():
                logits = network(normalised(pixels.to(device), self._task.preparation))
            yield logits.float().cpu().numpy()

    def _batches(self, resolution: int) -> Iterator[Tensor]:
        """Training images, as they are seen in the last epoch."""
        for pixels in self._seen:
            resized = resize(pixels, resolution).to(self._proxy.runtime.device)
            yield normalised(resized, self._task.preparation)
