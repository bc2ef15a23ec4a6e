"""Gradients of a batch for networks that are slices of the weights that are trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoscale.training.batches import Batch, normalised
from autoscale.training.crops import resize
from autoscale.training.gradients import Gradients
from autoscale.training.nested.inner import Inner, Paths


class SharedGradients(Gradients):
    """Of each batch some networks learn the labels, each at its own resolution.

    What is trained only holds weights; the networks of a step are slices of it. Their gradients are
    averaged, and so is their loss. Source: Guo et al. 2020 (SPOS), section 3.2.

    Args:
        paths: gives the networks of each step.
        resolution: pixels in height that images have once they have their full size.
    """

    def __init__(
        self,
        weights: nn.Module,
        device: torch.device,
        *,
        paths: Paths,
        resolution: int,
        **rest: Any,
    ) -> None:
        super().__init__(weights, device, **rest)
        self._paths, self._resolution = paths, resolution

    def _sum(self, parts: list[Batch]) -> Tensor:
        self._network.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        paths = self._paths()
        for path in paths:
            total += self._of_path(path, parts, share=1 / len(paths))
        return total

    def _of_path(self, path: Inner, parts: list[Batch], *, share: float) -> Tensor:
        """Add the gradients of one network; its share of the loss."""
        path.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        path.take()
        path.network.train()
        path.network.zero_grad(set_to_none=True)
        images = sum(len(part.labels) for part in parts)
        total = torch.zeros((), device=self._device)
        for part in parts:
            size = path.size_beside(part.pixels, self._resolution, self._preparation)
            pixels = resize(part.pixels, size).to(self._device)
            with self._autocast():
                logits = path.network(normalised(pixels, self._preparation))
                loss = self._loss(part, logits) * (share * len(part.labels) / images)
            loss.backward()
            total += loss.detach()
        path.give()
        return total
