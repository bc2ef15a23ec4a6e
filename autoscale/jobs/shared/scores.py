"""How good designs are with shared weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.jobs.shared.paths import Point, inside
from autoscale.jobs.workers.proxy import Proxy
from autoscale.network.build import Network
from autoscale.network.inheritance.recalibrate import recalibrate
from autoscale.network.shared import SharedWeights, Slices
from autoscale.network.threads import threads_of_torch
from autoscale.training.batches import batches, normalised
from autoscale.training.crops import resize
from autoscale.training.fit import scored
from autoscale.training.task import TrainingTask

#: Training images by which each design's norms are set, at least, and validation images that judge
#: it, at most.
STATISTICS, JUDGED = 256, 500


@dataclass(kw_only=True)
class SharedScores:
    """Scores designs as slices of trained weights.

    The norms of each have statistics of their own, of the same batches of augmented training
    images. Source: Guo et al. 2020 (SPOS), section 3.3.
    """

    weights: SharedWeights
    proxy: Proxy
    task: TrainingTask  # that the weights were trained on
    _slices: Slices = field(init=False)
    _judged: Images = field(init=False)
    _seen: tuple[Tensor, ...] = field(init=False)  # bytes

    def __post_init__(self) -> None:
        self._slices = Slices(self.weights.space)
        validation = self.proxy.images.validation
        order = np.random.default_rng(self.task.seed).permutation(len(validation))
        self._judged = validation.subset(np.sort(order[:JUDGED]))
        count = -(-STATISTICS // self.task.recipe.batch_size)
        drawn = batches(self.task, self.task.recipe.epochs, self.proxy.runtime)
        self._seen = tuple(batch.pixels for batch in islice(drawn, count))

    @staticmethod
    def statistics(proxy: Proxy) -> int:
        """Training images by which a design's norms are set."""
        return min(STATISTICS, len(proxy.images.train))

    @staticmethod
    def judged_share(proxy: Proxy) -> float:
        """Share of the validation images that judge a design."""
        count = len(proxy.images.validation)
        return min(JUDGED, count) / count

    def of(self, point: Point) -> float:
        """The share of images that the point's network answers right, or the metric's share.

        Raises:
            TrainingDiverged: if it answers a metric with numbers that are not finite.
        """
        with threads_of_torch(self.proxy.threads):
            inner = inside(self.weights, self._slices, point, self.proxy.kernels)
            network = inner.network.to(self.proxy.runtime.device)
            inner.take()
            recalibrate(_plain(network), self._batches(inner.resolution))
            task = self._task(inner.resolution)
            accuracy, score = scored(network, task, self._judged, runtime=self.proxy.runtime)
        metric = self.proxy.metric
        return accuracy if metric is None or score is None else metric.quality(score)

    def _task(self, resolution: int) -> TrainingTask:
        return replace(self.task, resolution=resolution, paths=None)

    def _batches(self, resolution: int) -> Iterator[Tensor]:
        for pixels in self._seen:
            resized = resize(pixels, resolution).to(self.proxy.runtime.device)
            yield normalised(resized, self.task.preparation)


def _plain(network: nn.Module) -> nn.Module:
    """The network itself: faster passes leave the statistics alone where nothing is learnt."""
    found = network if isinstance(network, Network) else network.network
    assert isinstance(found, nn.Module)
    return found
