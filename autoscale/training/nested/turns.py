"""Gradients of a batch for one network: the one that is trained, or one inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoscale.training.batches import Batch, normalised
from autoscale.training.crops import resize
from autoscale.training.gradients import Gradients
from autoscale.training.nested.inner import Inner


class InnerGradients(Gradients):
    """Can give the gradients of networks inside the one whose weights are trained.

    Args:
        resolution: pixels in height that images have once they have their full size.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, *, resolution: int, **rest: Any
    ) -> None:
        super().__init__(network, device, **rest)
        self._resolution = resolution

    def _learn(self, inner: Inner, parts: list[Batch], *, share: float = 1.0) -> Tensor:
        """Add the gradients of a network inside, times a share; its loss times that."""
        inner.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        inner.take()
        inner.network.train()
        inner.network.zero_grad(set_to_none=True)
        images = sum(len(part.labels) for part in parts)
        total = torch.zeros((), device=self._device)
        for part in parts:
            with self._autocast():
                logits = inner.network(self._seen(inner, part))
                loss = self._loss(part, logits) * (share * len(part.labels) / images)
            loss.backward()
            total += loss.detach()
        inner.give()
        return total

    def _seen(self, inner: Inner, part: Batch) -> Tensor:
        """The images of a batch as a network inside sees them."""
        pixels = part.pixels
        if inner.images is None:
            size = inner.size_beside(pixels, self._resolution, self._preparation)
            pixels = resize(pixels, size)
        return normalised(pixels.to(self._device), self._preparation)


class TurnGradients(InnerGradients):
    """Of each batch one network learns the labels, as the batch says: that which is trained, or one
    inside it.

    Source: one size a step, Devvrit et al. 2023 (MatFormer, arXiv 2310.07707), section 3.2; with
    sizes that see images of their own, after Yu et al. 2020 (BigNAS), section 3.1.

    Args:
        inner: the networks inside, smallest first.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, *, inner: Sequence[Inner], **rest: Any
    ) -> None:
        super().__init__(network, device, **rest)
        self._inner = tuple(inner)

    def _sum(self, parts: list[Batch]) -> Tensor:
        turn = parts[0].turn
        if turn is None:
            return super()._sum(parts)
        self._network.zero_grad(set_to_none=True)
        return self._learn(self._inner[turn], parts)
