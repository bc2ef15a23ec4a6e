"""What a network's classifier is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.training.batches import as_channels_last, normalised, resized
from autoscale.training.parts import classifier_of
from autoscale.training.task import HERE, Runtime, TrainingTask, device_named

#: Images passed together. On a CPU few, whose maps fit into memory that is used again and again.
_BATCH = {"cpu": 16}
_BATCH_ELSEWHERE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What reaches the classifier for each image."""

    rows: Tensor  # (N, features), float32, on the CPU
    labels: Tensor  # (N,), int64


def read_features(
    network: nn.Module, task: TrainingTask, runtime: Runtime = HERE
) -> tuple[Features, Features]:
    """Features of a task's training and validation images, which are passed whole.

    The network is moved to the device; its mode is left as it is. Where the recipe mirrors images,
    the mirror images of the training images follow them.

    Raises:
        InvalidSetting: if the network has no classifier that is given one row for each image, or
            the device is not there.
    """
    reader = _Reader(network, task, runtime)
    train = reader.read(task.train)
    if task.recipe.flip:
        mirrored = reader.read(task.train, mirror=True)
        train = Features(
            torch.cat([train.rows, mirrored.rows]), torch.cat([train.labels, mirrored.labels])
        )
    return train, reader.read(task.validation)


class _Reader:
    def __init__(self, network: nn.Module, task: TrainingTask, runtime: Runtime) -> None:
        self._network, self._task = network, task
        self._classifier = classifier_of(network)
        self._device = device_named(runtime.device)
        self._together = _BATCH.get(self._device.type, _BATCH_ELSEWHERE)

    def read(self, images: Images, *, mirror: bool = False) -> Features:
        network, task, rows = self._network, self._task, list[Tensor]()
        images, was_training = resized(images, task.image_size), network.training
        network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.eval()
        hook = self._classifier.register_forward_pre_hook(
            lambda _, given: rows.append(given[0].to("cpu", torch.float32))
        )
        try:
            with torch.no_grad():
                for start in range(0, len(images), self._together):
                    pixels = as_channels_last(images.pixels[start : start + self._together])
                    batch = normalised(pixels.to(self._device), task.preparation)
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
        return Features(found, torch.from_numpy(images.labels))
