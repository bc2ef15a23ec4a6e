"""Gradients of a batch for networks that are slices of the weights that are trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoscale.training.batches import Batch
from autoscale.training.nested.inner import Paths
from autoscale.training.nested.turns import InnerGradients


class SharedGradients(InnerGradients):
    """Of each batch some networks learn the labels, each at its own resolution.

    What is trained only holds weights; the networks of a step are slices of it. Their gradients are
    averaged, and so is their loss. Source: Guo et al. 2020 (SPOS), section 3.2.

    Args:
        paths: gives the networks of each step.
    """

    def __init__(
        self,
        weights: nn.Module,
        device: torch.device,
        *,
        paths: Paths,
        **rest: Any,
    ) -> None:
        super().__init__(weights, device, **rest)
        self._paths = paths

    def _sum(self, parts: list[Batch]) -> Tensor:
        self._network.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        paths = self._paths()
        for path in paths:
            total += self._learn(path, parts, share=1 / len(paths))
        return total
