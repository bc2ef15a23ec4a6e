"""Images through a network that has weights: logits, and the names of its classes."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoscale.errors import InvalidSetting
from autoscale.models.load import Model
from autoscale.models.settings import PassSettings
from autoscale.network.threads import threads_of_torch
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.task import device_named


def to_network_input(pixels: NDArray[np.uint8], model: Model) -> Tensor:
    """(N, S, S, C) bytes as the network expects them: (N, C, S, S), normalised as in training."""
    return normalised(as_channels_last(pixels), model.preparation)


def logits_of(
    model: Model, pixels: NDArray[np.uint8], settings: PassSettings
) -> tuple[Tensor, float]:
    """Logits of every image, and the seconds of the passes."""
    batch, target = settings.batch, device_named(settings.device)
    network: nn.Module = model.network.to(target)
    parts = []
    with threads_of_torch(settings.threads), torch.inference_mode():
        started = time.perf_counter()
        for start in range(0, len(pixels), batch):
            images = to_network_input(pixels[start : start + batch], model)
            parts.append(network(images.to(target)).float().cpu())
        seconds = time.perf_counter() - started
    found = torch.cat(parts)
    if found.ndim != 2:
        raise InvalidSetting(f"{model.name} must give logits of shape (N, classes)")
    return found, seconds


def require_weights(model: Model) -> None:
    if not model.trained and model.architecture is not None:
        raise InvalidSetting(
            f"{model.name} has no weights, so its answers mean nothing; name a .safetensors file, "
            "or give one with --weights"
        )


def class_names(model: Model, known: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = model.header.classes or known or tuple(f"class {number}" for number in range(count))
    if len(names) != count:
        raise InvalidSetting(
            f"{model.name} gives {count} logits, but {len(names)} classes are named"
        )
    return tuple(names)
