"""Train a network as a proxy says, and score it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture
from autoscale.errors import EvaluationFailed
from autoscale.jobs.inheritance import Begun
from autoscale.jobs.workers.answers import packed
from autoscale.jobs.workers.kernels import accelerated
from autoscale.jobs.workers.measurement import IN_THE_END, Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.network.threads import threads_of_torch
from autoscale.scaling.scalable import Network, cost_of
from autoscale.search.objective import Score
from autoscale.training.evaluation.evaluation_set import EvaluationSet
from autoscale.training.failures import TrainingFailed
from autoscale.training.fit import Fit, fit
from autoscale.training.state import Epoch


def train_and_score(
    proxy: Proxy, network: Network, *, seed: int, measurement: Measurement = IN_THE_END
) -> Score:
    """Train, with what the network gets from others, and measure accuracy.

    Accuracy is that of the network as it was trained, or in int8 if that is asked for; at rungs it
    is always the former. The seed decides fresh weights, order of the images and augmentation, so
    designs that share it are compared on the same footing.

    Raises:
        EvaluationFailed: if training diverges or memory runs out.
    """
    started, clock = time.perf_counter(), _clock(proxy)
    spent_before = clock()
    images, right = measurement.images(proxy.images), None
    try:
        with threads_of_torch(proxy.threads):
            trained = _trained(proxy, network, seed, measurement)
            if proxy.dtype == "int8" and not trained.stopped:  # else it is not worth that
                right = answered_in_int8(proxy, trained.module, network, images)
    except TrainingFailed as problem:
        raise EvaluationFailed(str(problem)) from None
    counted, fitted, begun = cost_of(network), trained.fitted, trained.begun
    accuracy = fitted.accuracy if right is None else float(right.mean())
    seconds, spent = time.perf_counter() - started, clock() - spent_before
    answered = right
    if measurement.answers and right is None:
        with threads_of_torch(proxy.threads):
            answered = EvaluationSet(
                images=images,
                resolution=network.resolution,
                preparation=proxy.preparation,
                runtime=proxy.runtime,
            ).answered_right(trained.accelerated)
    return Score(
        accuracy=accuracy,
        accuracy_float=None if right is None else fitted.accuracy,
        quality=_quality(proxy, fitted.score),
        macs=counted.macs,
        params=counted.params,
        activations=counted.activations,
        seconds=seconds,
        inherited=None if begun is None else begun.inherited,
        cpu_seconds=spent,
        epoch_cpu_seconds=trained.epoch_seconds,
        inheriting_cpu_seconds=trained.inheriting_seconds,
        right=packed(answered) if measurement.answers and answered is not None else None,
    )


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """A network after its training; seconds are those of `_clock`."""

    module: nn.Module
    accelerated: nn.Module  # the same weights, faster passes
    fitted: Fit
    fitting_seconds: float
    begun: Begun | None
    inheriting_seconds: float | None
    stopped: bool  # at a rung

    @property
    def epoch_seconds(self) -> float:
        """Of one epoch without its evaluation."""
        epochs = self.fitted.epochs
        looking = sum(epoch.evaluation_seconds for epoch in epochs)
        share = 1 - looking / sum(epoch.seconds for epoch in epochs)
        return self.fitting_seconds * share / len(epochs)


def _trained(proxy: Proxy, network: Network, seed: int, measurement: Measurement) -> _Trained:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = proxy.realised(network)
    task, clock = proxy.task(network, seed=seed), _clock(proxy)
    before = clock()
    begun = proxy.begin(module, network)
    inheriting = None if begun is None else clock() - before
    ready = accelerated(module, proxy.kernels)
    proxy.fit_first(ready, task, begun)
    task = proxy.taught.given(task) if proxy.taught else task
    images, rungs = measurement.images(proxy.images), measurement.rungs
    looks = _Looks(proxy, measurement)
    before = clock()
    fitted = fit(
        ready,
        replace(task, validation=images, evaluate_after=rungs),
        proxy.runtime,
        on_epoch=looks.at,
    )
    return _Trained(
        module=module,
        accelerated=ready,
        fitted=fitted,
        fitting_seconds=clock() - before,
        begun=begun,
        inheriting_seconds=inheriting,
        stopped=looks.stopped,
    )


class _Looks:
    """Has a training looked at after its epochs that are rungs."""

    def __init__(self, proxy: Proxy, measurement: Measurement) -> None:
        self._proxy, self._measurement = proxy, measurement
        self.stopped = False

    def at(self, epoch: Epoch) -> bool:
        """Whether the training ends here."""
        look, accuracy = self._measurement.look, epoch.accuracy
        if look is None or accuracy is None or epoch.number not in self._measurement.rungs:
            return self.stopped
        quality = _quality(self._proxy, epoch.score)
        self.stopped = look(epoch.number, accuracy if quality is None else quality)
        return self.stopped


def answered_in_int8(
    proxy: Proxy, module: nn.Module, network: Network, images: Images
) -> NDArray[np.bool_]:
    """Which images a trained network answers right in int8, on the CPU.

    Args:
        module: as `Proxy.realised` gave it, trained since; it stays as it is.

    Raises:
        EvaluationFailed: if no int8 network can be made of it.
    """
    # Workers that train in float32 do not wait for these.
    from autoscale.models.quantized.calibrated import BATCH
    from autoscale.models.quantized.in_loop import AS_BYTES, in_int8

    assert isinstance(network, Architecture), "refused before"
    quantized = in_int8(
        module,
        network,
        proxy.images.train,
        padding=proxy.transfer.start.expected.style.padding,
        preparation=proxy.preparation,
        classes=len(proxy.images.classes),
        seed=proxy.source.seed,
    )
    shown = EvaluationSet(
        images=images,
        resolution=network.resolution,
        preparation=replace(AS_BYTES, aspect=network.aspect),
        batch_size=BATCH,
    )
    return shown.answered_right(quantized)


def _quality(proxy: Proxy, found: float | None) -> float | None:
    """The share that a metric's score is; None for accuracy."""
    metric = proxy.metric
    return None if metric is None or found is None else metric.quality(found)


def _clock(proxy: Proxy) -> Callable[[], float]:
    """Counts CPU-seconds of this process; the time, where another device computes."""
    return time.process_time if proxy.device == "cpu" else time.perf_counter
