"""Features read out of a network, and a training that is fed with them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.training.batches import as_channels_last, draws, normalised, resized
from autoscale.training.head.features import Features, FeatureSets
from autoscale.training.parts import classifier_of, head_of
from autoscale.training.task import HERE, Runtime, TrainingTask, device_named

#: Images passed together. On a CPU few, whose maps fit into memory that is used again and again.
_BATCH = {"cpu": 16}
_BATCH_ELSEWHERE = 256


def read_features(network: nn.Module, task: TrainingTask, runtime: Runtime = HERE) -> FeatureSets:
    """What the classifier is given for a task's images, whole, and mirrored if the recipe mirrors.

    Raises:
        InvalidSetting: if the network has no classifier that is given one row for each image, or
            the device is not there.
    """

    def read(images: Images, *, mirrored: bool) -> Features:
        images = resized(images, task.resolution)
        labels = torch.from_numpy(images.labels)
        rows = _rows(network, images, task, runtime, mirror=False)
        other = _rows(network, images, task, runtime, mirror=True) if mirrored else None
        return Features(rows, labels, other)

    return FeatureSets(
        train=read(task.train, mirrored=task.recipe.flip),
        validation=read(task.validation, mirrored=False),
    )


def _rows(
    network: nn.Module, images: Images, task: TrainingTask, runtime: Runtime, *, mirror: bool
) -> Tensor:
    rows: list[Tensor] = []
    device, was_training = device_named(runtime.device), network.training
    together = _BATCH.get(device.type, _BATCH_ELSEWHERE)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    hook = classifier_of(network).register_forward_pre_hook(
        lambda _, given: rows.append(given[0].to("cpu", torch.float32))
    )
    try:
        with torch.no_grad():
            for start in range(0, len(images), together):
                pixels = as_channels_last(images.pixels[start : start + together])
                batch = normalised(pixels.to(device), task.preparation)
                network(batch.flip(-1) if mirror else batch)
    finally:
        hook.remove()
        network.train(was_training)
    found = torch.cat(rows)
    if found.ndim != 2 or len(found) != len(images):
        raise InvalidSetting(
            "the network's last linear layer is not given one row for each image; only a "
            "classifier at its end can be fitted alone"
        )
    return found


class FeatureFeed:
    """Batches of features, for the classifier alone; see `fit.Feed`."""

    def __init__(self, task: TrainingTask, features: FeatureSets, runtime: Runtime) -> None:
        self._task, self._features, self._runtime = task, features, runtime
        self._device = device_named(runtime.device)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        features = self._features.train
        for chosen, random in draws(self._task, epoch, self._runtime):
            rows = features.rows[chosen]
            if features.mirrored is not None:
                mirrored = torch.from_numpy(random.random(len(chosen)) < 0.5)
                rows = torch.where(mirrored[:, None], features.mirrored[chosen], rows)
            yield rows, features.labels[chosen]

    def logits(self, network: nn.Module, batch: Tensor) -> Tensor:
        found: Tensor = head_of(network)(batch.to(self._device))
        return found

    def accuracy(self, network: nn.Module) -> float:
        features, was_training = self._features.validation, network.training
        network.eval()
        with torch.no_grad():
            guesses = self.logits(network, features.rows).argmax(1).cpu()
        network.train(was_training)
        return int((guesses == features.labels).sum()) / len(features.labels)
