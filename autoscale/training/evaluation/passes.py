"""Images that a network in use is shown, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.errors import InvalidSetting
from autoscale.training.batches import as_channels_last, normalised, resized
from autoscale.training.task import Runtime, device_named, require_images

#: Which images: some of them, by their positions or all from one to another.
Which = slice | NDArray[np.int64]


class Passes:
    """A network on its device, in eval mode until the `with` statement ends.

    A network may offer a second way to compute by an attribute `approximately`: a function that
    takes what its `forward` takes, and gives nearly the same in less time, or None where there is
    no such way.

    Args:
        resolution: pixels in height of what the network sees; the preparation gives the width.

    Raises:
        InvalidSetting: if `resolution` or `batch_size` is below 1, or the device is not there.
        DataProblem: if there are no images.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Images,
        *,
        resolution: int,
        preparation: Preparation,
        batch_size: int,
        runtime: Runtime,
    ) -> None:
        if batch_size < 1:
            raise InvalidSetting(f"batch_size must be at least 1; got {batch_size}")
        require_images(images, resolution)
        self._network, self._device = network, device_named(runtime.device)
        self._images = resized(images, preparation.image_size(resolution))
        self._preparation, self._batch_size, self._peers = preparation, batch_size, runtime.peers

    def __enter__(self) -> Passes:
        network = self._network
        self._was_training = network.training
        network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.eval()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._network.train(self._was_training)

    @property
    def batches(self) -> list[slice]:
        """The images of this process's batches."""
        size, peers = self._batch_size, self._peers
        starts = range(peers.rank * size, len(self._images), peers.size * size)
        return [slice(start, min(start + size, len(self._images))) for start in starts]

    @property
    def approximately(self) -> Callable[[NDArray[np.int64]], NDArray[np.float32]] | None:
        """`logits` in the network's second way; None if it has none."""
        quick = getattr(self._network, "approximately", None)
        if quick is None or self._device.type != "cpu":
            return None
        return lambda positions: self._rows(positions, quick)

    def logits(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of images at these positions, in this order: (N, classes)."""
        return self._rows(positions, self._network)

    def batch(self, which: Which) -> Tensor:
        """The logits of images that pass together."""
        return self._pass(which, self._network)

    def _rows(
        self, positions: NDArray[np.int64], through: Callable[[Tensor], Tensor]
    ) -> NDArray[np.float32]:
        starts = range(0, len(positions), self._batch_size)
        parts = [positions[start : start + self._batch_size] for start in starts]
        return np.concatenate([self._pass(part, through).float().numpy() for part in parts])

    def _pass(self, which: Which, through: Callable[[Tensor], Tensor]) -> Tensor:
        pixels = as_channels_last(self._images.pixels[which])
        with torch.inference_mode():
            return through(normalised(pixels.to(self._device), self._preparation))
